"""The canned replies are the same on both protocols, and hold what sift-rag stores."""

from __future__ import annotations

import numpy as np
import pytest
from qdrant_client import grpc
from qdrant_client.conversions.conversion import GrpcToRest
from qdrant_client.http.models import InlineResponse20022

from benchmarks.speed.canned_replies import grpc_replies, points, rest_replies
from sift_rag.stores.payloads import passage_of


def test_both_protocols_say_the_same() -> None:
    found = points(3, 8)
    single, batch = grpc_replies(found)
    over_grpc = [GrpcToRest.convert_scored_point(point) for point in grpc.QueryResponse.FromString(single).result]
    assert grpc.QueryBatchResponse.FromString(batch).result[0].result == grpc.QueryResponse.FromString(single).result
    over_rest = InlineResponse20022.model_validate_json(rest_replies(found)[0]).result
    assert over_rest is not None
    for ours, rpc, rest in zip(found, over_grpc, over_rest.points, strict=True):
        assert ours.id == rpc.id == str(rest.id)
        assert ours.payload == rpc.payload == rest.payload
        assert ours.score == pytest.approx(rpc.score) == pytest.approx(rest.score)
        np.testing.assert_array_equal(np.float32(rpc.vector), np.float32(rest.vector))


def test_a_payload_is_that_of_a_passage() -> None:
    (point,) = points(1, 8)
    assert passage_of(point.id, point.payload).source == "folder/file0.md"
