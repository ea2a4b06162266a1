"""A Graph as plain data and back is the same Graph."""

from __future__ import annotations

import json

import networks
import numpy as np
from hypothesis import given

from snncc.ir.graph import Graph
from snncc.ir.interpreter import run_graph
from snncc.ir.store import decode_graph, encode_graph
from snncc.ir.text import format_graph
from snncc.records import dump_json


@given(networks.graphs(), networks.seeds)
def test_round_trip(graph: Graph, seed: int) -> None:
    value, arrays = encode_graph(graph)
    back = decode_graph(json.loads(dump_json(value)), arrays, "here")
    assert back.edges == graph.edges and list(back.nodes) == list(graph.nodes)
    assert format_graph(back) == format_graph(graph)
    data = networks.data_for(graph, seed)
    np.testing.assert_array_equal(run_graph(back, data).scores, run_graph(graph, data).scores)
