"""Answers in XML. One with a document type, and so with entities, is no answer."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any, Optional
from xml.parsers import expat

from .failures import Failure

_DEPTH_MAX = 32


class _Reader:
    def __init__(self) -> None:
        self._builder = ElementTree.TreeBuilder()
        self._depth = 0

    def start(self, name: str, attributes: Any) -> None:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise Failure("garbled", "the answer is nested too deep")
        self._builder.start(name.rpartition(":")[2], {})

    def end(self, name: str) -> None:
        self._depth -= 1
        self._builder.end(name.rpartition(":")[2])

    def data(self, text: str) -> None:
        self._builder.data(text)

    def document_type(self, *_: Any) -> None:
        raise Failure("garbled", "the answer has a document type")

    def read(self, body: bytes) -> ElementTree.Element:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.data
        parser.StartDoctypeDeclHandler = self.document_type
        parser.EntityDeclHandler = self.document_type
        try:
            parser.Parse(body, True)
        except expat.ExpatError as error:
            raise Failure("garbled", "the answer is no XML: %s" % error) from None
        return self._builder.close()


def parse(body: bytes, root: str) -> ElementTree.Element:
    """The element ``root``, which the answer must be; a failure otherwise."""
    element = _Reader().read(body)
    if element.tag != root:
        raise Failure("garbled", "the answer is another one than was asked for")
    return element


def parse_any(body: bytes) -> Optional[ElementTree.Element]:
    """The answer's element; ``None`` where it is no XML that can be read."""
    try:
        return _Reader().read(body)
    except Failure:
        return None


def text_of(element: ElementTree.Element, name: str) -> str:
    """The text of the child ``name``; a failure where there is none."""
    found = element.find(name)
    if found is None:
        raise Failure("garbled", "the answer lacks %s" % name)
    return found.text or ""


def integer_of(element: ElementTree.Element, name: str) -> int:
    """The number in the child ``name``."""
    told = text_of(element, name)
    if not told.isascii() or not told.isdigit():
        raise Failure("garbled", "the answer has no number in %s" % name)
    return int(told)


def escaped(text: str) -> str:
    """As text within an element."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
