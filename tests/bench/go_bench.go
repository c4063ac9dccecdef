// go_bench.go - Go on the same: `go_bench WHAT [N]`, with GOMAXPROCS=1; tests/bench/run says what is measured.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func cpu() float64 { // the process's own time, in ns, as in bench.h
	var ru syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &ru)
	return float64(ru.Utime.Nano() + ru.Stime.Nano())
}

func say(key string, v float64) { fmt.Printf("%s %.3f\n", key, v) }

func count(usual int) int {
	if len(os.Args) > 2 {
		n, _ := strconv.Atoi(os.Args[2])
		return n
	}
	return usual
}

func yields(n int) {
	for i := 0; i < n; i++ {
		runtime.Gosched()
	}
}

//go:noinline
func farYield(depth int) {
	if depth > 0 {
		farYield(depth - 1)
		return
	}
	runtime.Gosched()
}

func status(field string) float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(l, field) {
			kb, _ := strconv.Atoi(strings.Fields(l)[1])
			return float64(kb) * 1024
		}
	}
	return 0
}

//go:noinline
func parks(depth int, c chan int) int {
	if depth > 0 {
		return parks(depth-1, c) + depth
	}
	return <-c
}

func parked(n int) {
	debug.SetGCPercent(-1)
	c := make(chan int)
	rss, pte := status("VmRSS"), status("VmPTE")
	for i := 0; i < n; i++ {
		go parks(4, c)
	}
	runtime.Gosched()
	time.Sleep(100 * time.Millisecond)
	maps, _ := os.ReadFile("/proc/self/maps")
	say("parked_bytes", (status("VmRSS")-rss)/float64(n))
	say("parked_tables", (status("VmPTE")-pte)/float64(n))
	say("parked_maps", float64(strings.Count(string(maps), "\n")))
}

func echo(n int) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Printf("port %d\n", l.Addr().(*net.TCPAddr).Port)
	var wg sync.WaitGroup
	requests := 0 // GOMAXPROCS is 1: near enough
	for i := 0; i < n; i++ {
		c, _ := l.Accept()
		wg.Add(1)
		go func() {
			buf := make([]byte, 4096)
			for {
				c.SetReadDeadline(time.Now().Add(time.Minute))
				r, err := c.Read(buf)
				if err != nil {
					break
				}
				c.Write(buf[:r])
				requests++
			}
			c.Close()
			wg.Done()
		}()
	}
	start := cpu()
	wg.Wait()
	say("echo_cpu", (cpu()-start)/1000/float64(requests))
}

func main() {
	runtime.GOMAXPROCS(1)
	what := ""
	if len(os.Args) > 1 {
		what = os.Args[1]
	}
	start := cpu()
	done := func(n int) { say(what, (cpu()-start)/float64(n)) }
	switch what {
	case "switch":
		n := count(5000000)
		go yields(n / 2)
		yields(n / 2)
		done(n)
	case "yield":
		n := count(5000000)
		go func() {
			for i := 0; i < n/2; i++ {
				farYield(2)
			}
		}()
		yields(n / 2)
		done(n)
	case "spawn":
		n := count(2000000)
		ended := 0
		for i := 0; i < n; i++ {
			go func() { ended++ }()
			runtime.Gosched()
		}
		done(n)
	case "spawn_batch":
		n := count(2000000)
		ended := 0
		for i := 0; i < n/256; i++ {
			for k := 0; k < 256; k++ {
				go func() { ended++ }()
			}
			for ended < (i+1)*256 {
				runtime.Gosched()
			}
		}
		done(n)
	case "chan":
		n := count(2000000)
		a, b := make(chan uint64), make(chan uint64)
		go func() {
			for v := range a {
				b <- v
			}
		}()
		for i := 0; i < n; i++ {
			a <- 1
			<-b
		}
		done(n)
	case "chan_buf":
		n := count(10000000)
		a := make(chan uint64, 128)
		go func() {
			for i := 0; i < n; i++ {
				a <- 1
			}
			close(a)
		}()
		for range a {
		}
		done(n)
	case "select":
		n := count(2000000)
		a, b := make(chan uint64), make(chan uint64)
		go func() {
			for i := 0; i < n; i++ {
				if i&1 != 0 {
					b <- 1
				} else {
					a <- 1
				}
			}
		}()
		t := time.NewTimer(10 * time.Second)
		for i := 0; i < n; i++ {
			t.Reset(10 * time.Second)
			select {
			case <-a:
			case <-b:
			case <-t.C:
			}
		}
		done(n)
	case "deadline":
		n := count(5000000)
		live := make([]*time.Timer, 100000)
		for i := range live {
			live[i] = time.AfterFunc(time.Minute+time.Duration(i*977)*time.Microsecond, func() {})
		}
		var probes [64]*time.Timer
		for i := range probes {
			probes[i] = time.AfterFunc(time.Hour, func() {})
		}
		start = cpu()
		for i := 0; i < n; i++ {
			probes[i&63].Reset(30*time.Second + time.Duration(i&1023)*time.Millisecond)
			probes[i&63].Stop()
		}
		done(n)
	case "parked":
		parked(count(100000))
	case "echo":
		echo(count(100))
	default:
		os.Exit(2)
	}
}
