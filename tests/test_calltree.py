"""A profile as a tree of calls."""

from server.calltree import ROOT, Node, from_cprofile, packed, speedscope, unpacked

A, B, C = ("a", "jobs.py", 1), ("b", "jobs.py", 2), ("c", "lib.py", 3)


def tree():
    root = Node(ROOT)
    root.add([A, B], 3.0)
    root.add([A, C], 1.0)
    root.add([A], 0.5)
    return root


def test_samples_add_up():
    root = tree()
    assert (root.total_s, root.own_s) == (4.5, 0.0)
    assert (root.below[A].total_s, root.below[A].own_s) == (4.5, 0.5)


def test_it_is_the_same_after_packing():
    again = unpacked(packed(tree(), 100_000))
    assert again.pack() == tree().pack()


def test_too_large_a_tree_loses_its_smallest_parts_and_no_time():
    root = Node(ROOT)
    for number in range(1000):
        root.add([A, (f"f{number}", "jobs.py", number)], 1.0 if number == 500 else 0.001)
    data = packed(root, 500)
    assert len(data) <= 500
    again = unpacked(data)
    assert round(again.total_s, 3) == round(0.999 + 1.0, 3)
    assert ("f500", "jobs.py", 500) in again.below[A].below


def test_speedscope_has_a_sample_for_each_way():
    (profile,) = speedscope(tree(), "job")["profiles"]
    assert dict(zip(map(tuple, profile["samples"]), profile["weights"], strict=True)) == {
        (0,): 0.5,
        (0, 1): 3.0,
        (0, 2): 1.0,
    }
    assert profile["endValue"] == 4.5


def test_times_of_cprofile_are_shared_out_among_the_callers():
    main, left, right, low = ("m", 1, "main"), ("m", 2, "left"), ("m", 3, "right"), ("m", 4, "low")
    stats = {
        main: (1, 1, 0.0, 4.0, {}),
        left: (1, 1, 0.5, 3.5, {main: (1, 1, 0.5, 3.5)}),
        right: (1, 1, 0.0, 0.5, {main: (1, 1, 0.0, 0.5)}),
        low: (2, 2, 3.5, 3.5, {left: (1, 1, 3.0, 3.0), right: (1, 1, 0.5, 0.5)}),
    }
    top = from_cprofile(stats).below["main", "m", 1]
    assert round(top.below["left", "m", 2].below["low", "m", 4].total_s, 6) == 3.0
    assert round(top.below["right", "m", 3].below["low", "m", 4].total_s, 6) == 0.5
    assert round(top.total_s, 6) == 4.0


def test_functions_that_call_each_other_come_to_an_end():
    ping, pong = ("m", 1, "ping"), ("m", 2, "pong")
    stats = {
        ("m", 0, "main"): (1, 1, 0.0, 2.0, {}),
        ping: (9, 1, 1.0, 2.0, {("m", 0, "main"): (1, 1, 1.0, 2.0), pong: (8, 8, 0.9, 1.8)}),
        pong: (8, 8, 1.0, 1.9, {ping: (8, 8, 1.0, 1.9)}),
    }
    assert round(from_cprofile(stats).total_s, 6) == 2.0


def test_what_only_leads_to_a_function_is_left_out():
    root = Node(ROOT)
    root.add([("run", "lead.py", 1), ("call", "lead.py", 2), A, B], 1.0)
    root.lift(lambda key: key[1] == "lead.py")
    assert list(root.below) == [A]
