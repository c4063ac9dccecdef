"""Backends that come, change and go while the proxy serves: by DNS, a file, etcd, and by registering themselves."""
import json
import os
import socket
import threading
import time

import pytest

from lib.backend import answering
from lib.dns import Dns
from lib.etcd import PROGRAM as ETCD
from lib.etcd import Etcd
from lib.timing import eventually, secs, stays
from lib.weir import free_port


@pytest.fixture
def dns():
    d = Dns()
    yield d
    d.stop()


@pytest.fixture
def etcd():
    if ETCD is None:
        pytest.skip("no etcd here")
    e = Etcd(free_port)
    yield e
    e.stop()


@pytest.fixture
def named(backend):
    """named("a") -> a backend that answers with that name."""
    return lambda name: backend(answering(name.encode()))


def conf(workers=2, **discovery):
    """One worker, where shares are counted: each has a turn of its own."""
    return {"daemon": {"workers": workers}, "listeners": [{"name": "web", "pool": "app"}], "pools": [{"name": "app", "discovery": discovery}]}


def by_dns(dns, port, **more):
    return conf(type="dns", name="app.test", port=port, servers=[dns.text], ttl_least="100ms", **more)


def write(path, *documents):
    with open(path + ".new", "w") as f:
        json.dump([d if isinstance(d, dict) else str(d) for d in documents], f)
    os.rename(path + ".new", path)


@pytest.fixture
def listed(weir, tmp_path):
    """listed(documents...) -> (Weir, set): a pool whose backends stand in a file, and what replaces that."""
    path = str(tmp_path / "backends.json")

    def start(*documents, **more):
        write(path, *documents)
        return weir(conf(type="file", path=path, **more)), lambda *v: write(path, *v)

    return start


def names(w, n=12):
    """Who answers n requests."""
    return {w.get("/").body for _ in range(n)}


def register(w, address, method="PUT", query="", body=None, pool="app"):
    with socket.create_connection(("127.0.0.1", w.admin_port), timeout=secs(5)) as s:
        body = json.dumps(body).encode() if body is not None else b""
        s.sendall(f"{method} /v1/pools/{pool}/backends/{address}{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), text.decode()


# -- dns ------------------------------------------------------------------------------------------------------------------
def test_a_name_that_does_not_resolve_yet_holds_nothing_up(weir, dns, named):
    a = named("a")
    w = weir(by_dns(dns, a.address[1]))
    assert w.get("/").status == 503
    dns.set_a("app.test", "127.0.0.1")
    eventually(lambda: w.get("/").status == 200)


def test_a_name_server_that_dies_takes_no_backend_with_it(weir, dns, named):
    a = named("a")
    dns.set_a("app.test", "127.0.0.1")
    w = weir(by_dns(dns, a.address[1]))
    eventually(lambda: w.get("/").status == 200)
    for rcode in (2, 3):  # SERVFAIL, NXDOMAIN
        dns.rcode, before = rcode, dns.questions
        eventually(lambda: dns.questions >= before + 4)
        assert w.get("/").status == 200
    eventually(lambda: "discovery.failed" in w.stderr())
    assert w.stderr().count("backend.left") == 0


def test_an_old_list_is_dropped_after_its_time(weir, dns, named):
    a = named("a")
    dns.set_a("app.test", "127.0.0.1")
    w = weir(by_dns(dns, a.address[1], max_age="1s"))
    eventually(lambda: w.get("/").status == 200)
    dns.rcode = 2
    eventually(lambda: w.get("/").status == 503, 15)
    dns.rcode = 0
    eventually(lambda: w.get("/").status == 200, 60)


def test_srv_records_say_port_weight_and_who_waits(weir, dns, named):
    a, b, c = named("a"), named("b"), named("c")
    dns.set_a("host.test", "127.0.0.1")
    dns.set_srv("app.test", (10, 3, a.address[1], "host.test"), (10, 1, b.address[1], "host.test"), (20, 1, c.address[1], "host.test"))
    w = weir(conf(1, type="dns-srv", name="app.test", servers=[dns.text], ttl_least="100ms"))
    eventually(lambda: w.get("/").status == 200)
    got = [w.get("/").body for _ in range(40)]
    assert (got.count(b"a"), got.count(b"b"), got.count(b"c")) == (30, 10, 0)
    dns.set_srv("app.test", (20, 1, c.address[1], "host.test"))
    eventually(lambda: names(w) == {b"c"})


def test_a_target_without_addresses_is_told_until_it_has_some(weir, dns, backend):
    a = backend(answering(b"a"))
    port = int(str(a).rpartition(":")[2])
    dns.set_srv("_http._tcp.app.test", (1, 1, port, "here.test"), (1, 1, port, "gone.test"))
    dns.set_a("here.test", "127.0.0.1")
    w = weir(conf(type="dns-srv", name="_http._tcp.app.test", servers=[dns.text], ttl_least="100ms"))
    eventually(lambda: "gone.test: " in w.stderr())
    asked = dns.questions
    eventually(lambda: dns.questions > asked + 10)
    assert names(w) == {b"a"} and w.stderr().count("discovery.failed") == 1 and "discovery.recovered" not in w.stderr()
    dns.set_a("gone.test", "127.0.0.2")
    eventually(lambda: "discovery.recovered" in w.stderr())


# -- file -----------------------------------------------------------------------------------------------------------------
def test_a_backend_added_to_the_file_serves(listed, named):
    a, b = named("a"), named("b")
    w, put = listed(a)
    assert names(w) == {b"a"}
    put(a, b)
    eventually(lambda: names(w) == {b"a", b"b"})
    put(b)
    eventually(lambda: names(w) == {b"b"})


def test_a_changed_weight_counts(listed, named):
    a, b = named("a"), named("b")
    w, put = listed(a, b, workers=1)
    eventually(lambda: names(w) == {b"a", b"b"})
    put({"address": str(a), "weight": 3}, b)
    eventually(lambda: [w.get("/").body for _ in range(40)].count(b"a") == 30)
    put({"address": str(a), "weight": 0}, b)
    eventually(lambda: names(w) == {b"b"})


def test_a_file_that_makes_no_sense_changes_nothing_and_is_told_with_its_line(listed, named, tmp_path):
    a = named("a")
    w, put = listed(a)
    assert names(w) == {b"a"}
    path = str(tmp_path / "backends.json")
    with open(path + ".new", "w") as f:
        f.write('[\n  { "address": "127.0.0.1:1" },\n  { "address": "127.0.0.1:2", "weight": -1 }\n]\n')
    os.rename(path + ".new", path)
    eventually(lambda: "line 3 column 3, item 2: weight is a whole number" in w.stderr())
    assert names(w) == {b"a"}
    put(a, named("b"))
    eventually(lambda: names(w) == {b"a", b"b"})


def test_a_backend_that_leaves_finishes_what_it_has_begun(listed, backend, named):
    go, began = threading.Event(), threading.Event()

    def slow(conn):
        while conn.read_request() is not None:
            conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            began.set()
            assert go.wait(secs(20))
            conn.send(b"half")

    a, b = backend(slow), named("b")
    w, put = listed(a)
    got = []
    t = threading.Thread(target=lambda: got.append(w.get("/", timeout=30.0)))
    t.start()
    assert began.wait(secs(10))
    put(b)
    eventually(lambda: "backend.left" in w.stderr())
    w.settle()  # that line comes before the new list is in effect
    assert w.get("/").body == b"b"
    go.set()
    t.join()
    assert got[0].status == 200 and got[0].body == b"halfhalf"
    assert len(a.requests) == 1


def test_nothing_is_lost_while_backends_flap(listed, fast_backend, load):
    some = [fast_backend(n) for n in "abc"]
    w, put = listed(*some)
    x = load(w.address(), keep=4, fresh=2, posts=1)
    for i in range(30):
        put(*[b for k, b in enumerate(some) if k != i % 3])
        eventually(lambda: w.stderr().count("backend.left") > i, what="the change")
    report = x.stop()
    assert report["failed"] == [] and sum(report["ok"].values()) > 0


def test_a_reload_keeps_what_was_found(listed, named):
    a = named("a")
    w, put = listed(a)
    assert names(w) == {b"a"}
    os.unlink(w.conf["pools"][0]["discovery"]["path"])
    eventually(lambda: "discovery.failed" in w.stderr())
    for _ in range(3):
        w.reload()
        assert names(w, 3) == {b"a"}


def test_an_empty_file_is_no_word_to_stop_serving(listed, named):
    a, b = named("a"), named("b")
    w, put = listed(a)
    assert names(w) == {b"a"}
    put()
    eventually(lambda: "the list is empty; what was found before stays" in w.stderr())
    assert names(w) == {b"a"} and w.metric("weir_discovery_failures_total") > 0
    put({"address": str(a), "weight": 0})  # who means it drains
    eventually(lambda: w.get("/").status == 503)
    put(b)
    eventually(lambda: names(w) == {b"b"})


def test_an_empty_file_is_believed_after_max_age(listed, named):
    w, put = listed(named("a"), max_age="500ms")
    put()
    eventually(lambda: w.get("/").status == 503)
    assert "discovery.recovered" not in w.stderr()


def test_reloads_do_not_make_an_old_list_young(listed, named):
    w, put = listed(named("a"), max_age="1s")
    assert names(w) == {b"a"}
    os.unlink(w.conf["pools"][0]["discovery"]["path"])

    def is_gone():
        w.reload()
        return w.get("/").status == 503

    eventually(is_gone, what="the list's end, though there is a reload every moment")


def test_a_reload_may_change_how_long_a_list_is_kept(listed, named):
    w, put = listed(named("a"))
    os.unlink(w.conf["pools"][0]["discovery"]["path"])
    eventually(lambda: "discovery.failed" in w.stderr())
    w.conf["pools"][0]["discovery"]["max_age"] = "100ms"
    w.reload(w.conf)
    eventually(lambda: w.get("/").status == 503)


def test_a_changed_source_takes_over_when_it_has_found_something(listed, named, tmp_path):
    a, b = named("a"), named("b")
    w, put = listed(a)
    assert names(w) == {b"a"}
    w.conf["pools"][0]["discovery"]["path"] = str(tmp_path / "other.json")
    w.reload(w.conf)
    assert names(w) == {b"a"}
    write(str(tmp_path / "other.json"), b)
    eventually(lambda: names(w) == {b"b"})


def test_a_reload_does_not_wait_for_a_source_that_was_silent_before(weir, dns):
    dns.silent = True
    w = weir(by_dns(dns, 80))
    began = time.monotonic()
    for _ in range(20):
        w.reload()
    assert time.monotonic() - began < 18  # each would wait for a second


# -- etcd -----------------------------------------------------------------------------------------------------------------
def test_keys_of_etcd_are_backends(weir, etcd, named):
    a, b = named("a"), named("b")
    etcd.put("/w/1", address=str(a))
    w = weir(conf(1, type="etcd", endpoints=[etcd.text], prefix="/w/"))
    eventually(lambda: w.get("/").status == 200)
    etcd.put("/w/2", address=str(b), weight=3)
    eventually(lambda: [w.get("/").body for _ in range(40)].count(b"b") == 30)
    etcd.delete("/w/1")
    eventually(lambda: names(w) == {b"b"})


def test_an_etcd_that_has_lost_its_keys_takes_no_backend_away(weir, etcd, named):
    a, b = named("a"), named("b")
    etcd.put("/w/1", address=str(a))
    w = weir(conf(type="etcd", endpoints=[etcd.text], prefix="/w/"))
    eventually(lambda: w.get("/").status == 200)
    etcd.wipe()
    etcd.start()
    eventually(lambda: "the list is empty" in w.stderr(), 60)
    assert names(w) == {b"a"}
    etcd.put("/w/2", address=str(b))
    eventually(lambda: names(w) == {b"b"}, 60)


def test_the_last_key_that_is_deleted_is_believed_after_max_age(weir, etcd, named):
    etcd.put("/w/1", address=str(named("a")))
    w = weir(conf(type="etcd", endpoints=[etcd.text], prefix="/w/", max_age="2s"))
    eventually(lambda: w.get("/").status == 200)
    etcd.delete("/w/1")
    eventually(lambda: "the list is empty" in w.stderr())
    eventually(lambda: w.get("/").status == 503, what="the end of max_age, though the watch is silent")


def test_a_bad_key_is_told_once_and_its_recovery_when_it_is_good(weir, etcd, named):
    a, b, c = named("a"), named("b"), named("c")
    etcd.put("/w/1", address=str(a))
    w = weir(conf(type="etcd", endpoints=[etcd.text], prefix="/w/"))
    eventually(lambda: w.get("/").status == 200)
    etcd.put("/w/1", address="nonsense")
    etcd.put("/w/2", address=str(b))
    eventually(lambda: names(w) == {b"a", b"b"})
    assert w.stderr().count("discovery.failed") == 1 and "discovery.recovered" not in w.stderr()
    etcd.put("/w/1", address=str(c))
    eventually(lambda: names(w) == {b"b", b"c"})
    eventually(lambda: w.stderr().count("discovery.recovered") == 1)


def test_a_reload_keeps_the_last_good_value_of_a_key(weir, etcd, named):
    a, b = named("a"), named("b")
    etcd.put("/w/1", address=str(a))
    etcd.put("/w/2", address=str(b))
    w = weir(conf(type="etcd", endpoints=[etcd.text], prefix="/w/"))
    eventually(lambda: names(w) == {b"a", b"b"})
    etcd.put("/w/2", address="nonsense")
    eventually(lambda: "discovery.failed" in w.stderr())
    w.reload()
    assert "backend.left" not in w.stderr() and names(w) == {b"a", b"b"}


def test_etcd_may_be_down_and_come_back(weir, etcd, named):
    a, b = named("a"), named("b")
    etcd.put("/w/1", address=str(a))
    w = weir(conf(type="etcd", endpoints=[etcd.text], prefix="/w/"))
    eventually(lambda: w.get("/").status == 200)
    etcd.kill()
    eventually(lambda: "discovery.failed" in w.stderr())
    assert names(w) == {b"a"}
    etcd.start()
    etcd.put("/w/2", address=str(b))
    etcd.delete("/w/1")
    eventually(lambda: names(w) == {b"b"}, 60)


# -- heartbeat ------------------------------------------------------------------------------------------------------------
def test_a_backend_registers_itself_and_goes_when_it_falls_silent(weir, named):
    a = named("a")
    w = weir(conf(type="heartbeat"))
    assert w.get("/").status == 503
    assert register(w, a, query="?ttl=3s")[0] == 201
    eventually(lambda: w.get("/").status == 200)
    for _ in range(3):
        assert register(w, a, query="?ttl=3s")[0] == 200
    eventually(lambda: w.get("/").status == 503, 10)


def test_a_registration_can_be_taken_back(weir, named):
    a, b = named("a"), named("b")
    w = weir(conf(1, type="heartbeat"))
    register(w, a, query="?ttl=1h")
    register(w, b, query="?ttl=1h", body={"weight": 3})
    eventually(lambda: [w.get("/").body for _ in range(40)].count(b"b") == 30)
    status, text = register(w, "", method="GET")
    assert status == 404 or json.loads(text)  # "/backends/" is "/backends"
    assert register(w, a, method="DELETE")[0] == 200
    eventually(lambda: names(w) == {b"b"})


def test_a_reload_needs_no_new_beat(weir, named):
    a = named("a")
    w = weir(conf(type="heartbeat"))
    register(w, a, query="?ttl=1h")
    eventually(lambda: w.get("/").status == 200)
    for _ in range(3):
        w.reload()
        stays(lambda: w.get("/").status == 200, 0.1)


def test_a_command_registers_too(weir, named):
    a = named("a")
    w = weir(conf(type="heartbeat"))
    assert "is registered" in w.ctl("register", "app", str(a), "1h").stdout
    eventually(lambda: w.get("/").status == 200)
    assert str(a) in w.ctl("registered", "app").stdout
    assert w.ctl("deregister", "app", str(a)).returncode == 0
    eventually(lambda: w.get("/").status == 503)
    assert w.ctl("register", "nope", str(a)).returncode != 0


def test_the_register_refuses_what_makes_no_sense(weir, named):
    a = named("a")
    w = weir({"listeners": [{"name": "web", "pool": "app"}], "pools": [{"name": "app", "backends": [str(a)]}]})
    assert register(w, a)[0] == 409
    assert register(w, a, pool="nope")[0] == 404
    assert register(w, a, body={"x": "y" * 20000})[0] == 413
    assert w.get("/").status == 200
