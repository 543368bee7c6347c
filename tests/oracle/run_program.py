"""Runs lowered programs (JSON of helm_dump_program) op by op with torch, all ranks in one process and in lockstep, and checks every result's
dtype, shape and strides against the program. An interpreter of its own: it shares nothing with HELM's."""
import math

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16, "i64": torch.int64, "i32": torch.int32, "bool": torch.bool,
          "u8": torch.uint8}


# 8-bit types that lose nothing: programs with 8-bit operands then compute what those without them do.
WIDE_8_BITS = {"f8e4m3": torch.float32, "f8e5m2": torch.float32}
DTYPES.update(WIDE_8_BITS)


class Mismatch(Exception):
    pass


def coordinates(mesh, rank):
    result = {}
    for dimension in mesh:
        result[dimension["name"]] = rank % dimension["size"]
        rank //= dimension["size"]
    return result


def evaluate(expression, place):
    return expression["constant"] + sum(coefficient * place[name] for name, coefficient in expression["terms"].items())


def operator(target):
    namespace, name, *overload = target.split(".")
    assert namespace == "aten", target
    return getattr(getattr(torch.ops.aten, name), overload[0] if overload else "default")


_KINDS = {"none": ("Optional", "Tensor"), "tensor": ("Tensor",), "tensors": ("List[Tensor]",), "dtype": ("int", "Optional[int]"),
          "rank": ("number",), "infinity": ("number", "float")}


def schema_problems(op):
    """What in this op does not fit the schema of its target."""
    try:
        schema = operator(op["target"])._schema
    except AttributeError:
        return [f"{op['target']}: no such operator"]
    problems = []
    for parameter, argument in zip(schema.arguments, op["arguments"]):
        (kind, value), = argument.items()
        wanted = str(parameter.type)
        value_kinds = {bool: ("bool",), int: ("int", "number", "Optional[int]"), float: ("float", "number"), str: ("str",), list: ("List[int]", "List[bool]")}
        allowed = _KINDS.get(kind) or value_kinds[type(value)]
        if not any(word in wanted for word in allowed):
            problems.append(f"{op['target']}: argument {parameter.name} of type {wanted} is given {argument}")
    if len(op["arguments"]) > len(schema.arguments):
        problems.append(f"{op['target']}: too many arguments")
    for parameter in schema.arguments[len(op["arguments"]):]:
        if not parameter.has_default_value():
            problems.append(f"{op['target']}: argument {parameter.name} is missing")
    if schema.returns and len(schema.returns) != len(op["results"]):
        problems.append(f"{op['target']}: {len(op['results'])} results instead of {len(schema.returns)}")
    return problems


def scaled_product(left, right, left_scale, right_scale, bias=None, _scale=None, dtype=None, _fast=False, out=None):
    """aten._scaled_mm on wide operands."""
    product = left @ right * (left_scale * right_scale)
    product = (product if bias is None else product + bias).to(dtype)
    return product if out is None else out.copy_(product)


class Rank:
    def __init__(self, program, number):
        self.program = program
        self.place = coordinates(program["mesh"], number)
        wide = {tensor["storage"] for tensor in program["tensors"] if tensor["dtype"] in WIDE_8_BITS}
        self.storages = {i: torch.zeros(s["bytes"] * (4 if i in wide else 1), dtype=torch.uint8)
                         for i, s in enumerate(program["storages"]) if s["persistent"]}
        self.values = {}

    def tensor(self, index):
        if index not in self.values:
            spec = self.program["tensors"][index]
            assert spec["producer"] < 0, spec
            flat = self.storages[spec["storage"]].view(DTYPES[spec["dtype"]])
            self.values[index] = torch.as_strided(flat, spec["shape"], spec["strides"], spec["offset"])
        return self.values[index]

    def argument(self, argument):
        (kind, value), = argument.items()
        if kind == "none":
            return None
        if kind == "tensor":
            return self.tensor(value)
        if kind == "tensors":
            return [self.tensor(index) for index in value]
        if kind == "dtype":
            return DTYPES[value]
        if kind == "rank":
            return evaluate(value, self.place)
        if kind == "infinity":
            return value * math.inf
        return value

    def run(self, op):
        function = operator(op["target"])
        positional, keywords = [], {}
        for parameter, argument in zip(function._schema.arguments, op["arguments"]):
            value = self.argument(argument)
            if parameter.kwarg_only:
                keywords[parameter.name] = value
            else:
                positional.append(value)
        results = (scaled_product if op["target"].startswith("aten._scaled_mm") else function)(*positional, **keywords)
        if op["target"] == "aten.new_empty" and results.is_floating_point():
            results.fill_(float("nan"))  # not what lay there before, which may be what is to be written
        if results is None:  # only writes: its results are the written arguments, in the order of the schema
            results = []
            for parameter, argument in zip(function._schema.arguments, op["arguments"]):
                if parameter.alias_info is not None and parameter.alias_info.is_write:
                    value = self.argument(argument)
                    results.extend(value if isinstance(value, list) else [value])
        elif not isinstance(results, (tuple, list)):
            results = [results]
        if len(results) != len(op["results"]):
            raise Mismatch(f"{op['target']}: {len(results)} results, the program has {len(op['results'])}")
        for index, value in zip(op["results"], results):
            if index >= 0:
                self.store(op, index, value)

    def store(self, op, index, value):
        spec = self.program["tensors"][index]
        found = (value.dtype, list(value.shape), _telling(value.shape, value.stride()), value.storage_offset())
        wanted = (DTYPES[spec["dtype"]], spec["shape"], _telling(spec["shape"], spec["strides"]), spec["offset"])
        if found != wanted:
            raise Mismatch(f"{op['target']} ({op['label']}, {spec['name']}): result {found}, the program says {wanted}")
        self.values[index] = value


def _telling(shape, strides):
    """The stride of a dimension with fewer than two elements says nothing."""
    return [stride for size, stride in zip(shape, strides) if size > 1]


class FakeRank(Rank):
    """One rank on tensors without memory (inside FakeTensorMode), as on a GPU. Collectives give what the program says that they do."""

    def __init__(self, program, number):
        self.program = program
        self.place = coordinates(program["mesh"], number)
        self.storages = {i: torch.zeros(s["bytes"], dtype=torch.uint8, device="cuda") for i, s in enumerate(program["storages"]) if s["persistent"]}
        self.values = {}

    def run_all(self):
        for op in self.program["ops"]:
            if op["kind"] == "collective":
                self.collective(op)
            elif op["kind"] != "wait":
                self.run(op)

    def collective(self, op):
        makes_new = op["target"] in ("c10d.reduce_scatter", "c10d.recv") or (op["target"] == "c10d.all_gather" and len(op["arguments"]) == 1)
        written = op["arguments"][1 if op["target"] == "c10d.all_gather" and not makes_new else 0]
        for index in op["results"]:
            spec = self.program["tensors"][index] if index >= 0 else None
            if spec is not None:
                self.values[index] = torch.empty(spec["shape"], dtype=DTYPES[spec["dtype"]], device="cuda") if makes_new else self.argument(written)


class World:
    """All ranks of a program. A collective is done when it is started; Verify has made sure that nothing looks before the wait."""

    def __init__(self, program):
        self.program = program
        size = math.prod(d["size"] for d in program["mesh"])
        self.ranks = [Rank(program, number) for number in range(size)]

    def members(self, group, rank):
        """Ranks that differ from this one only in the group's dimensions, in mesh order."""
        dimensions = self.program["groups"][group]["dimensions"]
        return [other for other in self.ranks if all(other.place[name] == value for name, value in rank.place.items() if name not in dimensions)]

    def message(self, op):
        """c10d.send(tensor, offset, tag) and c10d.recv(offset, tag), around the ring of the group; all ranks send before any receives."""
        sends = op["target"] == "c10d.send"
        offset, tag = (argument["value"] for argument in op["arguments"][1 if sends else 0:])
        for rank in self.ranks:
            members = self.members(op["group"], rank)
            own = [id(member) for member in members].index(id(rank))
            peer = members[(own + offset) % len(members)]
            if sends:
                self.sent.setdefault((op["group"], id(rank), id(peer), tag), []).append(rank.argument(op["arguments"][0]).clone())
            else:
                rank.store(op, op["results"][0], self.sent.get((op["group"], id(peer), id(rank), tag), []).pop(0))

    def collective(self, op):
        if op["target"] in ("c10d.send", "c10d.recv"):
            return self.message(op)
        inputs = {id(rank): rank.argument(op["arguments"][0]).clone() for rank in self.ranks}
        for rank in self.ranks:
            parts = [inputs[id(member)] for member in self.members(op["group"], rank)]
            position = [id(member) for member in self.members(op["group"], rank)].index(id(rank))
            if op["target"] == "c10d.all_gather":
                gathered = torch.cat(parts, 0)
                into = op["arguments"][1:]
                rank.store(op, op["results"][0], rank.argument(into[0]).copy_(gathered) if into else gathered)
                continue
            if op["target"] == "c10d.all_to_all":
                rank.store(op, op["results"][0], torch.cat([part.chunk(len(parts), 0)[position] for part in parts], 0))
                continue
            total = torch.stack(parts).amax(0) if op["arguments"][1]["value"] == "max" else torch.stack(parts).sum(0)
            if op["target"] == "c10d.reduce_scatter":
                rank.store(op, op["results"][0], total.chunk(len(parts), 0)[position].clone())
            else:
                assert op["target"] == "c10d.all_reduce", op["target"]
                rank.store(op, op["results"][0], rank.argument(op["arguments"][0]).copy_(total))

    def run(self, skip=None, negate=None):
        """One step. For mutation tests: `skip` leaves an op out (its results are arguments of the same shape, else zeros), `negate` flips the
        sign of an op's floating-point results."""
        self.sent = {}
        for rank in self.ranks:
            rank.values = {}
        for number, op in enumerate(self.program["ops"]):
            if number == skip:
                self.pass_through(op)
            elif op["kind"] == "collective":
                self.collective(op)
            elif op["kind"] != "wait":
                for rank in self.ranks:
                    rank.run(op)
            if number == negate:
                self.negate(op)

    def negate(self, op):
        for rank in self.ranks:
            for index in op["results"]:
                if index >= 0 and rank.values[index].dtype == torch.bool:
                    rank.values[index].logical_not_()
                elif index >= 0:
                    rank.values[index].neg_()

    def pass_through(self, op):
        """In-place results are what was there; all-gathers and reduce-scatters become local copies; other results are zeros."""
        for rank in self.ranks:
            tensors = [t for a in op["arguments"] for t in ([rank.tensor(a["tensor"])] if "tensor" in a else map(rank.tensor, a.get("tensors", [])))]
            for index in op["results"]:
                spec = self.program["tensors"][index]
                same = [t for t in tensors if (list(t.shape), t.dtype, t.storage_offset()) == (spec["shape"], DTYPES[spec["dtype"]], spec["offset"])]
                if self.program["storages"][spec["storage"]]["persistent"]:
                    flat = rank.storages[spec["storage"]].view(DTYPES[spec["dtype"]])
                    rank.values[index] = torch.as_strided(flat, spec["shape"], spec["strides"], spec["offset"])
                elif op["kind"] == "collective" and op["target"] != "c10d.all_reduce":
                    rows = spec["shape"][0]
                    rank.values[index] = torch.cat([tensors[0]] * max(1, rows // tensors[0].shape[0]), 0)[:rows].clone()
                elif op["target"].split(".")[1].endswith("_") or "out" in op["target"] or op["kind"] == "collective":
                    rank.values[index] = same[-1]
                else:
                    rank.values[index] = torch.as_strided(torch.zeros(10**5, dtype=DTYPES[spec["dtype"]]), spec["shape"], spec["strides"]).clone()

    # --- parameters and gradients under their names in the file ---

    def place_along(self, rank, dimensions):
        """The place of a rank among those that differ in these dimensions only, in mesh order."""
        place, ranks = 0, 1
        for dimension in self.program["mesh"]:
            if dimension["name"] in dimensions:
                place += rank.place[dimension["name"]] * ranks
                ranks *= dimension["size"]
        return place

    def held(self, rank, segment, key):
        """What this rank has of a segment's parameters (key parameter or master) or gradients: all elements, or its shard."""
        storage = segment[key]
        if key == "gradient" and segment["gradient_sharded"]:  # the newest version that the step left there
            newest = max(index for index in rank.values if self.program["tensors"][index]["storage"] == storage)
            return rank.values[newest].view(-1)
        flat = rank.storages[storage]
        if segment["frozen"]:
            return flat.view(self.type_on(storage))[: segment["elements"]]
        narrow = key == "parameter" and storage != segment["master"] and flat.numel() < 4 * segment["elements"]
        flat = flat.view(torch.bfloat16 if narrow else torch.float32)
        base = segment["gradient_offset"] if key == "gradient" else 0
        return flat[base: base + min(segment["elements"], flat.numel() - base)]

    def type_on(self, storage):
        """Of the persistent tensors of a storage."""
        return next(DTYPES[tensor["dtype"]] for tensor in self.program["tensors"] if tensor["storage"] == storage and tensor["producer"] < 0)

    def whole(self, rank, segment, key):
        """All elements of a rank's segment: those of a sharded one are on the ranks that differ only in the dimension it is sharded over."""
        held = self.held(rank, segment, key)
        if held.numel() == segment["elements"]:
            return held
        dimensions = segment["sharded_over"]
        others = [other for other in self.ranks if all(other.place[d] == rank.place[d] for d in rank.place if d not in dimensions)]
        return torch.cat([self.held(other, segment, key) for other in others])

    def boxes(self, rank, segment, flat):
        """Yields (piece, this rank's box of the unsplit parameter as a view of the segment's elements, slices of the parameter, of the box)."""
        for piece in segment["pieces"]:
            count = math.prod(piece["box_shape"])
            box = flat[piece["offset"]: piece["offset"] + count].view(piece["box_shape"])
            whole, part = [], []
            for offset, length, limit in zip(piece["box_offset"], piece["box_shape"], piece["global_shape"]):
                begin = evaluate(offset, rank.place)
                kept = max(0, min(length, limit - begin))
                whole.append(slice(begin, begin + kept))
                part.append(slice(0, kept))
            yield piece, box, tuple(whole), tuple(part)

    def segments_of(self, key):
        return [segment for segment in self.program["segments"] if not (key == "gradient" and segment["frozen"])]

    def shapes(self, key="parameter"):
        """name -> shape in the file; of gradients those of what is trained."""
        result = {}
        for segment in self.segments_of(key):
            for piece in segment["pieces"]:
                shape = piece["global_shape"]
                result[piece["name"]] = shape[::-1] if piece["transposed"] else shape
        return result

    def load(self, named):
        for rank in self.ranks:
            for segment in self.program["segments"]:
                flat = torch.zeros(segment["elements"])
                for piece, box, whole, part in self.boxes(rank, segment, flat):
                    value = named[piece["name"]]
                    box[part] = (value.T if piece["transposed"] else value)[whole]
                for key in ("master", "parameter"):
                    held = self.held(rank, segment, key)
                    begin = 0 if held.numel() == segment["elements"] else held.numel() * self.place_along(rank, segment["sharded_over"])
                    held.copy_(flat[begin: begin + held.numel()])

    def gather(self, key):
        result = {name: torch.full(shape, math.nan) for name, shape in self.shapes(key).items()}
        for rank in self.ranks:
            for segment in self.segments_of(key):
                for piece, box, whole, part in self.boxes(rank, segment, self.whole(rank, segment, key).float()):
                    value = result[piece["name"]]
                    target = value.T if piece["transposed"] else value
                    known = target[whole]
                    if not torch.isnan(known).any() and not torch.allclose(known, box[part], rtol=1e-4, atol=1e-7):
                        raise Mismatch(f"{key} {piece['name']}: ranks that hold the same part differ")
                    target[whole] = box[part]
        return result

    def set_input(self, name, tensors_by_data_rank):
        for rank in self.ranks:
            number = self.place_along(rank, ("expert", "data", "replicate"))
            rank.tensor(self.program["inputs"][name]).copy_(tensors_by_data_rank[number])

    def output(self, name):
        values = {rank.tensor(self.program["outputs"][name]).item() for rank in self.ranks}
        if max(values) - min(values) > 1e-5 * abs(max(values)):
            raise Mismatch(f"output {name} differs between ranks: {sorted(values)}")
        return max(values)
