"""The routes of the page. They are its own, and no public API: the OpenAPI document leaves them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sift_rag_server.page.assets import asset_routes
from sift_rag_server.page.choice import choice_routes
from sift_rag_server.page.comparisons import comparison_routes
from sift_rag_server.page.documents import RecordCache, document_routes
from sift_rag_server.page.ingests import Ingests
from sift_rag_server.page.map import map_routes
from sift_rag_server.page.reference import reference_routes
from sift_rag_server.page.searches import SearchCache
from sift_rag_server.page.session import session_routes
from sift_rag_server.page.uploads import upload_routes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

    from sift_rag_server.service import Service


def page_routes(service: Service) -> Sequence[APIRouter]:
    """Return the routes of the page and of the requests that only it makes."""
    searches, records = SearchCache(), RecordCache()
    ingests = Ingests(service)
    service.when_changed += [searches.forget, records.forget]
    return (
        reference_routes(),  # before the static files, whose paths include those of its libraries
        asset_routes(),
        session_routes(service),
        choice_routes(service, searches),
        map_routes(service, searches),
        document_routes(service, records, ingests.is_running),
        upload_routes(service, ingests),
        comparison_routes(service),
    )
