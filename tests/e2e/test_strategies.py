"""Strategies as a configuration names them: each of them serves, and one may come from a shared object."""
import collections
import copy
import os
import re
import shutil
import subprocess
import threading

import pytest

from conftest import simple
from lib.backend import answering
from lib.timing import eventually
from lib.weir import ROOT, run

STRATEGIES = ["round_robin", "random", "least_conn", "p2c", "ewma", "ring_hash", "maglev", "rendezvous"]
HEADER = os.path.join(ROOT, "src", "upstream", "strategy.h")


def named(backend, n, **kw):
    """n backends that answer with their number."""
    return [backend(answering(b"%d" % i), **kw) for i in range(n)]


def spread(w, n):
    with w.client() as c:
        return collections.Counter(int(c.request("GET", "/").body) for _ in range(n))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_serves_and_goes_elsewhere_when_a_backend_refuses(weir, backend, refusing, strategy):
    backends = named(backend, 2)
    w = weir(simple(refusing, *backends, pool={"strategy": strategy}))
    with w.client() as c:
        assert all(c.request("GET", "/").status == 200 for _ in range(60))


def test_chance_spreads_requests_over_all(weir, backend):
    w = weir(simple(*named(backend, 3), pool={"strategy": "random"}))
    got = spread(w, 300)
    assert sorted(got) == [0, 1, 2] and min(got.values()) > 20, got


HASHING = ["ring_hash", "maglev", "rendezvous"]


def by_key(w, keys):
    """Which backend each key meets."""
    with w.client() as c:
        return [c.request("GET", "/", headers=[("X-Key", k)]).body for k in keys]


@pytest.mark.parametrize("strategy", HASHING)
def test_a_client_has_one_backend_where_no_key_is_written(weir, backend, strategy):
    w = weir(simple(*named(backend, 3), pool={"strategy": strategy}))
    assert list(spread(w, 50).values()) == [50]


@pytest.mark.parametrize("strategy", HASHING)
def test_two_proxies_agree_on_each_key_however_the_backends_are_listed(weir, backend, strategy):
    backends = named(backend, 4)
    keys, pool = [f"k{i}" for i in range(120)], {"strategy": strategy, "hash": {"key": "header:x-key"}}
    one = weir(simple(*backends, pool=pool))
    other = weir(simple(*reversed(backends), pool=pool))
    met = by_key(one, keys)
    assert set(met) == {b"0", b"1", b"2", b"3"}
    assert by_key(other, keys) == met and by_key(one, keys) == met


@pytest.mark.parametrize("strategy", ["ring_hash", "rendezvous"])
def test_keys_stay_when_another_backend_goes(weir, backend, strategy):
    keys, pool = [f"k{i}" for i in range(60)], {"strategy": strategy, "hash": {"key": "header:x-key"}}
    w = weir(simple(*named(backend, 4), pool=pool))
    before = by_key(w, keys)
    conf = copy.deepcopy(w.conf)
    del conf["pools"][0]["backends"][2]
    w.reload(conf)
    after = by_key(w, keys)
    assert all(a == b or b == b"2" for a, b in zip(after, before)) and b"2" not in after


def test_least_conn_avoids_the_backend_that_is_busy(weir, backend):
    gate = threading.Event()

    def busy(conn):
        conn.read_request()
        gate.wait(30)
        conn.answer(200, b"0")

    slow, quick = backend(busy), backend(answering(b"1"))
    w = weir(simple(slow, quick, pool={"strategy": "least_conn"}))
    waiting = [w.client() for _ in range(2)]
    try:
        for c in waiting:  # one of the two meets it: equal ones take turns
            c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        def inflight(b):
            return w.metric("weir_backend_inflight", backend=str(b))
        eventually(lambda: inflight(slow) == 1 and inflight(quick) == 0 and w.metric("weir_backend_requests_total", backend=str(quick)) == 1)
        assert spread(w, 50) == {1: 50}
    finally:
        gate.set()
        for c in waiting:
            c.close()


def test_the_one_that_answers_errors_at_once_gets_few_requests(weir, backend):
    w = weir(simple(backend(answering(b"9", status=500)), *named(backend, 2), pool={"strategy": "p2c"}))
    spread(w, 60)
    assert spread(w, 100)[9] <= 10


# -- plugins --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def include(tmp_path):
    """As `make install` leaves it."""
    (tmp_path / "include" / "weir").mkdir(parents=True)
    shutil.copy(HEADER, tmp_path / "include" / "weir" / "strategy.h")
    return tmp_path / "include"


@pytest.fixture
def build(tmp_path, include):
    """build(source, name) -> the path of a shared object."""
    def compile_it(source, name="x.so", flags=()):
        c, so = tmp_path / (name + ".c"), tmp_path / name
        c.write_text(source)
        subprocess.run(["gcc", "-std=c17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", f"-I{include}", *flags, "-o", so, c], check=True)
        return str(so)
    return compile_it


FIXED = """
#include <weir/strategy.h>
/* Of the backends by id, always the one of that number. */
static struct backend *x_pick(void *state, struct ready *r, const struct pick_key *key)
{
    struct backend *low = r->v[0], *high = r->v[0];
    (void)state; (void)key;
    for (size_t i = 1; i < r->n; i++) {
        if (backend_id(r->v[i]) < backend_id(low)) low = r->v[i];
        if (backend_id(r->v[i]) > backend_id(high)) high = r->v[i];
    }
    return WHICH;
}
static const struct strategy_ops ops = { OPS };
extern const struct strategy_plugin weir_strategy_plugin;
const struct strategy_plugin weir_strategy_plugin = { ABI, SIZE, POINTER };
"""


def source(which="low", ops='.name = "x", .pick = x_pick', abi="STRATEGY_ABI", size="sizeof(struct strategy_ops)", pointer="&ops"):
    text = FIXED.replace("WHICH", which).replace("OPS", ops).replace("ABI", abi).replace("POINTER", pointer)
    return text.replace("SIZE", size)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("std", ["c11", "c17"])
def test_the_header_stands_alone(tmp_path, include, compiler, std):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    c = tmp_path / "alone.c"
    c.write_text("#include <weir/strategy.h>\n")
    subprocess.run([compiler, f"-std={std}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", f"-I{include}", c], check=True)


def test_the_example_is_built_as_the_manual_says_and_fills_one_backend(weir, backend, tmp_path, include):
    manual = open(os.path.join(ROOT, "docs", "strategies.md")).read()
    line = re.search(r"^gcc .*example-strategy\.c$", manual, re.M).group()
    shutil.copy(os.path.join(ROOT, "docs", "example-strategy.c"), tmp_path)
    subprocess.run(line, shell=True, cwd=tmp_path, env=dict(os.environ, C_INCLUDE_PATH=str(include)), check=True)
    w = weir(simple(*named(backend, 3), pool={"strategy": f"plugin:{tmp_path}/fill.so"}))
    assert list(spread(w, 50).values()) == [50]


CRASHING = "#include <signal.h>\n__attribute__((constructor)) static void x(void) { raise(SIGSEGV); }\n"

BAD = {
    "another_version": (source(abi="STRATEGY_ABI + 41"), ["version 42", "version 1"]),
    "another_size_of_ops": (source(size="8"), ["8 bytes"]),
    "no_ops": (source(pointer="(void)&ops, (const struct strategy_ops *)0").replace("(void)&ops, ", "0 ? &ops : "), ["has no ops"]),
    "no_pick": (source(ops='.name = "x", .hashes = sizeof x_pick(0, 0, 0) > 0'), ["has no pick()"]),
    "no_name": (source(ops=".pick = x_pick"), ["has no name"]),
    "too_much_state": (source(ops='.name = "x", .pick = x_pick, .state_size = 1u << 30'), ["1073741824 bytes"]),
    "no_symbol": ("int nothing;\n", ["no symbol weir_strategy_plugin"]),
    "a_constructor_that_crashes": (CRASHING, ["crashes when it is loaded: Segmentation fault"]),
    "a_constructor_that_exits": ("#include <stdlib.h>\n__attribute__((constructor)) static void x(void) { _Exit(3); }\n",
                                 ["ends the process that loads it, with status 3"]),
    "a_symbol_that_is_nowhere": ("int nowhere(void);\nint x(void);\nint x(void) { return nowhere(); }\n", ["can't be loaded", "nowhere"]),
}


@pytest.mark.parametrize("what", BAD)
def test_a_plugin_that_does_not_fit_is_refused_with_the_line_and_the_reason(build, tmp_path, what):
    text, words = BAD[what]
    so, conf = build(text), tmp_path / "proxy.conf"
    conf.write_text('listeners = ( { bind = "127.0.0.1:8080"; pool = "app"; } );\n'
                    f'pools = ( {{ name = "app"; strategy = "plugin:{so}"; backends = [ "127.0.0.1:9000" ]; }} );\n')
    done = run("-t", "-c", str(conf))
    out = done.stdout + done.stderr
    assert done.returncode == 1 and f'proxy.conf:2: pools.app.strategy: "{so}"' in out, out
    assert all(w in out for w in words), out


@pytest.mark.parametrize("path, words", [("/nowhere/x.so", "No such file"), ("x.so", "not an absolute path"), ("/tmp", "not a file"),
                                         ("", "not an absolute path"), ("/dev/null", "not a file"), (HEADER, "can't be loaded")])
def test_a_path_that_is_no_plugin_is_refused(tmp_path, path, words):
    conf = tmp_path / "proxy.conf"
    conf.write_text('listeners = ( { bind = "127.0.0.1:8080"; pool = "app"; } );\n'
                    f'pools = ( {{ name = "app"; strategy = "plugin:{path}"; backends = [ "127.0.0.1:9000" ]; }} );\n')
    done = run("-t", "-c", str(conf))
    assert done.returncode == 1 and words in done.stdout + done.stderr


def test_a_new_file_in_the_old_ones_place_is_loaded_at_the_next_reload(weir, backend, build):
    so = build(source("low"))
    w = weir(simple(*named(backend, 3), pool={"strategy": f"plugin:{so}"}))
    first = list(spread(w, 20))
    os.rename(build(source("high"), "new.so"), so)
    assert list(spread(w, 20)) == first, "before the reload"
    w.reload()
    second = list(spread(w, 20))
    assert len(first) == len(second) == 1 and first != second
    w.reload()
    assert list(spread(w, 20)) == second


def test_a_file_that_was_written_over_is_refused_and_the_loaded_one_goes_on(weir, backend, build):
    so = build(source("low"))
    w = weir(simple(*named(backend, 3), pool={"strategy": f"plugin:{so}"}))
    first = spread(w, 20)
    os.utime(so, (1, 1))  # as writing would; really to change its pages would be asking for a crash
    done = w.ctl("reload")
    assert done.returncode != 0 and "written over" in done.stdout + done.stderr
    assert spread(w, 20) == first


def test_a_plugin_that_crashes_when_it_is_loaded_does_not_take_the_running_proxy_along(weir, backend, build):
    w = weir(simple(*named(backend, 3)))
    w.conf["pools"][0]["strategy"] = "plugin:" + build(CRASHING)
    w.write_conf(w.conf)
    done = w.ctl("reload")
    assert done.returncode != 0 and "crashes when it is loaded" in done.stdout + done.stderr, done
    assert len(spread(w, 30)) == 3
    w.conf["pools"][0]["strategy"] = "plugin:" + build(source(), "good.so")
    w.reload(w.conf)
    assert len(spread(w, 30)) == 1


def test_a_plugin_may_come_and_go_by_reloads_under_load(weir, fast_backend, load, build):
    so = build(source("low"))
    backends = [fast_backend(str(i)) for i in range(2)]
    w = weir(simple(*backends))
    x = load(w.address(), keep=4, fresh=2)
    for i in range(6):
        conf = copy.deepcopy(w.conf)
        conf["pools"][0]["strategy"] = f"plugin:{so}" if i % 2 == 0 else "least_conn"
        w.reload(conf)
    x.stop()
    assert x.report["failed"] == [], x.report
