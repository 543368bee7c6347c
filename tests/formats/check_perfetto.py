"""Reads an archive of `helm-compare --perfetto` as Perfetto's trace processor would, and holds it against the two timelines that it was made of.

Usage: check_perfetto.py ARCHIVE.tar FIRST.json SECOND.json

Shares no code with HELM: the tar is read with tarfile, the protobuf by the wire format (protobuf.dev/programming-guides/encoding) with the field
numbers of perfetto.protos, flows by the rules of trace processor's FlowTracker: packets in order of their time stamps, ties in order of the file; a
flow id that is not yet active begins a flow, an active one goes on, a terminating one ends it, and is dropped where nothing began.
"""

import collections
import json
import sys
import tarfile

SLICE_BEGIN, SLICE_END, COUNTER = 1, 2, 4
PICOSECONDS = 1000  # in a nanosecond


class Failure(Exception):
    pass


def check(condition, *message):
    if not condition:
        raise Failure(" ".join(str(part) for part in message))


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    """{field number: [value]}: numbers of varint and fixed64 fields, bytes of length-delimited ones."""
    found, at = collections.defaultdict(list), 0
    while at < len(data):
        key, at = varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = int.from_bytes(data[at:at + 8], "little"), at + 8
        elif wire == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise Failure(f"wire type {wire}")
        check(at <= len(data), "a field ends behind its message")
        found[key >> 3].append(value)
    return found


def one(message, number, default=None):
    values = message.get(number, [])
    check(len(values) <= 1, "field", number, "occurs", len(values), "times")
    return values[0] if values else default


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def annotation(data):
    message = fields(data)
    name = one(message, 10).decode()
    return name, signed(one(message, 4)) if 4 in message else one(message, 6).decode()


class Trace:
    """Tracks, slices, counters and flows of one trace file."""

    def __init__(self, data):
        self.tracks, self.slices, self.counters, self.flows = {}, [], collections.defaultdict(list), []
        packets = [fields(packet) for packet in fields(data)[1]]
        for packet in packets:
            check(one(packet, 10) is not None, "a packet without trusted_packet_sequence_id")
            if 60 in packet:
                self.add_track(fields(one(packet, 60)))
        self.active, self.open = {}, {}
        for packet in sorted((p for p in packets if 11 in p), key=lambda p: one(p, 8)):  # sorted() keeps the order of equals
            self.add_event(one(packet, 8), fields(one(packet, 11)))
        check(not self.open, len(self.open), "slices never end")
        check(not self.active, len(self.active), "flows never end")

    def add_track(self, track):
        uuid = one(track, 1)
        check(uuid and uuid not in self.tracks, "track", uuid, "is described twice, or is track 0")
        process = fields(one(track, 3, b""))
        parent = one(track, 5)
        check(parent is None or parent in self.tracks, "track", uuid, "comes before its parent")
        self.tracks[uuid] = {
            "name": (one(track, 2) or one(process, 6)).decode(), "pid": one(process, 1), "parent": parent,
            "unit": one(fields(one(track, 8)), 3) if 8 in track else None, "counter": 8 in track,
        }

    def add_event(self, time, event):
        kind, track = one(event, 9), one(event, 11)
        check(track in self.tracks, "an event on track", track, "that nothing describes")
        check(self.tracks[track]["counter"] == (kind == COUNTER), "an event of type", kind, "on", self.tracks[track]["name"])
        if kind == SLICE_BEGIN:
            check(track not in self.open, "slices overlap on track", track, "at", time)
            self.open[track] = len(self.slices)
            self.slices.append({"track": track, "start": time, "name": one(event, 23).decode(), "category": one(event, 22).decode(),
                                **dict(annotation(data) for data in event[4])})
            self.follow(event)
        elif kind == SLICE_END:
            self.slices[self.open.pop(track)]["end"] = time
        else:
            self.counters[track].append((time, signed(one(event, 30))))

    def follow(self, event):
        here = len(self.slices) - 1
        for flow in event[47]:
            if flow in self.active:
                self.flows.append((self.active[flow], here))
            self.active[flow] = here
        for flow in event[48]:
            check(flow in self.active, "Perfetto would drop the end of flow", flow, "of", self.slices[here])
            self.flows.append((self.active.pop(flow), here))

    def rank_of(self, track):
        return self.tracks[self.tracks[track]["parent"]]["pid"] - 1


def column(table, key):
    values = table[key]
    return [values["names"][i] for i in values["values"]] if isinstance(values, dict) else values


def rows(table):
    return [dict(zip(table, values)) for values in zip(*(column(table, key) for key in table))]


def check_slices(trace, timeline, ops):
    def key(name, rank, op, start, end, target, label):
        return name, rank, op, start // PICOSECONDS, end // PICOSECONDS, target, label

    expected = collections.Counter(
        key(timeline["streams"][e["stream"]]["name"], e["rank"], e["op"], e["start_ps"], e["start_ps"] + e["duration_ps"], ops[e["op"]]["target"],
            ops[e["op"]]["label"]) for e in rows(timeline["events"]))
    found = collections.Counter(
        key(trace.tracks[s["track"]]["name"], trace.rank_of(s["track"]), s["op id"], s["start"] * PICOSECONDS, s["end"] * PICOSECONDS, s["name"],
            s["label"]) for s in trace.slices)
    check(found == expected, "slices are not the events:", list((found - expected) + (expected - found))[:3])


def check_counters(trace, timeline):
    roles = [key for key in timeline["memory"] if key.endswith("_bytes")]
    expected = collections.defaultdict(list)
    for sample in rows(timeline["memory"]):
        for role in roles:
            expected[sample["rank"], "memory " + role[:-len("_bytes")]].append((sample["time_ps"] // PICOSECONDS, sample[role]))
        expected[sample["rank"], "memory all"].append((sample["time_ps"] // PICOSECONDS, sum(sample[role] for role in roles)))
    found = {(trace.rank_of(track), trace.tracks[track]["name"]): values for track, values in trace.counters.items()}
    check({key: sorted(values) for key, values in found.items()} == {key: sorted(values) for key, values in expected.items()},
          "counters are not the memory samples")
    check(all(trace.tracks[track]["unit"] == 3 for track in trace.counters), "a counter whose unit is not bytes")


def group_instance(timeline, group, rank):
    """What ranks of one instance of a group share: their coordinates along all other dimensions."""
    others = []
    for dimension in timeline["mesh"]:
        rank, coordinate = divmod(rank, dimension["size"])
        if dimension["name"] not in group["dimensions"]:
            others.append(coordinate)
    return group["name"], *others


def check_flows(trace, timeline, ops):
    """Flows are launches, messages, and the members of collectives, whose slices are of one group and overlap."""
    found = collections.Counter()
    streams = {stream["name"]: stream for stream in timeline["streams"]}
    joined = collections.defaultdict(set)  # by collective slice: the slices that flows join it with
    for begin, end in trace.flows:
        a, b = trace.slices[begin], trace.slices[end]
        rank_a, rank_b = (trace.rank_of(s["track"]) for s in (a, b))
        check(a["start"] <= b["start"], "a flow goes back in time")
        if {a["name"], b["name"]} == {"c10d.send", "c10d.recv"}:
            check(rank_a != rank_b, "a rank sends to itself")
            found["message"] += 1
        elif rank_a == rank_b:
            check(a["op id"] == b["op id"], "a launch of another op")
            found["launch"] += 1
        else:
            stream = streams[trace.tracks[a["track"]]["name"]]
            check(stream["name"] == trace.tracks[b["track"]]["name"] and a["name"] == b["name"], "members of two collectives")
            group = timeline["groups"][stream["index"]]
            check(group_instance(timeline, group, rank_a) == group_instance(timeline, group, rank_b), "members of two groups")
            check(b["start"] <= a["end"], "a collective whose members do not meet:", a, b)
            joined[begin].add(end)
            found["collective"] += 1
    check_all_joined(trace, timeline, streams, found)
    return found


def check_all_joined(trace, timeline, streams, found):
    """Every collective of a group with members in the timeline is joined: of m members m - 1 flows; every send that has a recv too."""
    instances = collections.defaultdict(lambda: collections.defaultdict(int))
    sends = collections.Counter()
    for s in trace.slices:
        stream = streams[trace.tracks[s["track"]]["name"]]
        rank = trace.rank_of(s["track"])
        if stream["kind"] != "communication":
            continue
        if s["name"] in ("c10d.send", "c10d.recv"):
            sends[s["name"]] += 1
        elif timeline.get("mesh"):
            group = timeline["groups"][stream["index"]]
            sizes = {d["name"]: d["size"] for d in timeline["mesh"]}
            coordinate, rest = None, rank
            for d in timeline["mesh"]:
                rest, own = divmod(rest, d["size"])
                coordinate = own if d["name"] in group["dimensions"] else coordinate
            if group["coordinates"] and coordinate not in group["coordinates"]:
                continue
            check(all(name in sizes for name in group["dimensions"]), "a group along no dimension of the mesh")
            instances[stream["name"], group_instance(timeline, group, rank)][rank] += 1
    wanted = sum(sum(members.values()) - max(members.values()) for members in instances.values())
    check(found["collective"] == wanted, found["collective"], "flows between members of collectives, not", wanted)
    check(found["message"] <= min(sends["c10d.send"], sends["c10d.recv"]), "more messages than sends")
    ranks = set(timeline["events"]["rank"])
    world = 1
    for dimension in timeline.get("mesh", []):
        world *= dimension["size"]
    if len(ranks) == world:
        check(found["message"] == sends["c10d.send"] == sends["c10d.recv"], "sends without their recv:", dict(found), dict(sends))


def main(archive, *paths):
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        contents = {name: tar.extractfile(name).read() for name in names}
    check(names[0] == "perfetto_manifest.json", "the manifest is not first")
    manifest = json.loads(contents[names[0]])["perfetto_manifest"]
    check(manifest["version"] == 1, "version", manifest["version"])
    check([entry["path"] for entry in manifest["files"]] == names[1:], "the manifest names other files than the archive holds")
    check(len({entry["machine"]["name"] for entry in manifest["files"]}) == 2, "both traces are of one machine")
    for entry, path in zip(manifest["files"], paths):
        check(entry["clocks"] == {"offset_ns": 0}, "clocks", entry["clocks"])
        with open(path, encoding="utf-8") as file:
            timeline = json.load(file)
        ops = rows(timeline["ops"])
        trace = Trace(contents[entry["path"]])
        check_slices(trace, timeline, ops)
        check_counters(trace, timeline)
        flows = check_flows(trace, timeline, ops)
        print(f"{entry['path']}: {len(trace.slices)} slices, {sum(map(len, trace.counters.values()))} counter values, flows {dict(flows)}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"check_perfetto: {failure}")
