/* context_x86_64.S - System V: rbx, rbp, r12-r15 and the stack pointer belong to the caller. */
#if defined(__x86_64__) && !defined(WEIR_CONTEXT_PORTABLE)
    .text

/* void context_switch(void **save, void *to) */
    .globl context_switch
    .type context_switch, @function
    .p2align 4
context_switch:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %r15, 0
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    .globl context_resumed /* where a parked fiber stands: tests/lib/gdb_fibers.py unwinds from here */
context_resumed:
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore %r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbp
    ret
    .cfi_endproc
    .size context_switch, . - context_switch

/* The first frame of every fiber: context_make() left entry in r12 and its argument in r13. */
    .globl context_entry
    .hidden context_entry
    .type context_entry, @function
    .p2align 4
context_entry:
    .cfi_startproc
    .cfi_undefined %rip /* nothing called us: unwinding ends here */
    endbr64
    xorl %ebp, %ebp
    movq %r13, %rdi
    callq *%r12
    ud2
    .cfi_endproc
    .size context_entry, . - context_entry
#endif

    .section .note.GNU-stack, "", %progbits
