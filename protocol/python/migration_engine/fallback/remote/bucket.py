"""What can be done in a bucket, one call for each request it takes."""

from __future__ import annotations

import base64
import calendar
import contextlib
import email.utils
import secrets
from datetime import datetime, timezone
from typing import (
    TYPE_CHECKING,
    Callable,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)
from urllib.parse import unquote_plus
from xml.etree.ElementTree import Element

from ..faults import Fault
from ..location import Location
from .failures import Failure
from .media import type_of
from .s3 import REFUSAL_BYTES_MAX, Call, Service, checksum_fields, crc32_text, refusal
from .sigv4 import encode
from .wire import Answer
from .xml import escaped, integer_of, parse, parse_any, text_of

if TYPE_CHECKING:
    from ..job import Job

PART_BYTES_MIN = 5 << 20
PART_BYTES = 8 << 20
PART_BYTES_MAX = 5 << 30
PARTS_MAX = 10_000
_PAGE_BYTES_MAX = 16 << 20
_META = "x-amz-meta-"
# The second: of an entity tag that no object has.
_CONDITIONS = (("if-none-match", "*"), ("if-match", '"%s"' % ("0" * 32)))
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")


class Object(NamedTuple):
    """What is known of an object; ``metadata`` is ``None`` where a listing told of it."""

    key: str
    size: int
    version: str
    modified_ns: int
    metadata: Optional[Mapping[str, str]] = None
    checksums: Mapping[str, str] = {}
    archived: bool = False


class Page(NamedTuple):
    """A page of a listing; ``next`` asks for the one after it."""

    objects: List[Object]
    prefixes: List[str]
    next: Optional[str]


class Put(NamedTuple):
    """What an object gets; ``over`` is the version that it replaces, ``None`` a free name."""

    over: Optional[str]
    metadata: Mapping[str, str]


class Part(NamedTuple):
    """A part that the store took."""

    tag: str
    checksum: str


class Listed(NamedTuple):
    """A part as the store lists it; its checksum where it tells one."""

    size: int
    tag: str
    checksum: str

    def part(self, body: bytes) -> Optional[Part]:
        """The part, if the store has it with just these bytes by a checksum of its own."""
        checks = checksum_fields(body)
        crc = checks["x-amz-checksum-crc32"]
        md5 = base64.b64decode(checks["content-md5"]).hex()
        holds = self.checksum == crc if self.checksum else self.tag.strip('"') == md5
        return Part(self.tag, crc) if holds and self.size == len(body) else None


class Bucket:
    """A bucket, opened for one job and one side of it."""

    def __init__(self, job: "Job", location: Location, quiet: bool = False) -> None:
        name, _, key = location.path.partition(b"/")
        try:
            bucket, self.root = name.decode("ascii"), named(key.decode("utf-8"))
        except UnicodeDecodeError:
            raise Fault("INVALID_FIELD", "a bucket's name is ASCII, a key UTF-8") from None
        if not bucket or encode(bucket) != bucket:
            raise Fault("INVALID_FIELD", "the URL has no bucket's name") from None
        self.options = location.options
        self.service = Service(job, location, bucket, quiet)
        self._conditional = True
        self._prepared = False

    @property
    def identity(self) -> str:
        """What tells this bucket from every other."""
        return self.service.identity

    def close(self) -> None:
        """Ends the connections."""
        self.service.close()

    # Reading.

    def look(self, key: str) -> Optional[Object]:
        """An object; ``None`` where there is none."""
        headers = {**self.service.customer_fields(), "x-amz-checksum-mode": "ENABLED"}
        try:
            answer, _ = self.service.fetch(Call("HEAD", key, (), headers), 0)
        except Failure as failure:
            if failure.class_ == "not_found":
                return None
            if failure.status not in (400, 403):
                raise
            self._explain(key, failure)
            return None
        return object_of(key, answer)

    def _explain(self, key: str, failure: Failure) -> None:
        """Raises what keeps an object from being looked at, unless there is none.

        An answer to HEAD has no body that says it.
        """
        headers = {**self.service.customer_fields(), "range": "bytes=0-0"}
        try:
            self.service.open(Call("GET", key, (), headers)).close()
        except Failure as said:
            if said.class_ != "not_found":
                raise said from failure
            return
        raise failure

    def read(
        self, key: str, version: Optional[str], start: int, end: Optional[int] = None
    ) -> Answer:
        """The bytes of an object from ``start`` on, of this very version where one is given.

        With ``end``, those before it.
        """
        headers = self.service.customer_fields()
        if end is not None:
            headers["range"] = "bytes=%d-%d" % (start, end - 1)
        elif start:
            headers["range"] = "bytes=%d-" % start
        else:
            headers["x-amz-checksum-mode"] = "ENABLED"
        if version is not None:
            headers["if-match"] = version
        return self.service.send(Call("GET", key, (), headers))

    def page(self, prefix: str, folded: bool, next_: Optional[str]) -> Page:
        """One page of a listing. One that cannot be understood is a failure, never an end."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", prefix)]
        if folded:
            query.append(("delimiter", "/"))
        if next_ is not None:
            query.append(("continuation-token", next_))
        call = Call("GET", None, query)
        return self.service.ask(
            call, lambda _, body: _page_of(body, prefix, next_), _PAGE_BYTES_MAX
        )

    # Writing.

    def fields(self, key: str, put: Put) -> Dict[str, str]:
        """Fields of a request that makes an object, beside its condition."""
        options = self.options
        fields: Dict[str, str] = self.service.customer_fields()
        for name, value in (
            ("content-type", options.content_type or type_of(key)),
            ("content-encoding", options.content_encoding),
            ("cache-control", options.cache_control),
            ("x-amz-storage-class", options.storage_class),
            ("x-amz-acl", options.acl),
            ("x-amz-server-side-encryption", options.sse),
            ("x-amz-server-side-encryption-aws-kms-key-id", options.sse_key_id),
        ):
            if value is not None:
                fields[name] = _field(value)
        if options.tags:
            pairs = ["%s=%s" % (encode(k), encode(v)) for k, v in sorted(options.tags.items())]
            fields["x-amz-tagging"] = "&".join(pairs)
        for name, value in {**options.metadata, **put.metadata}.items():
            fields[_META + _field(name.lower())] = _field(value)
        return fields

    def _condition(self, put: Put) -> Dict[str, str]:
        if not self._conditional:
            return {}
        return {"if-none-match": "*"} if put.over is None else {"if-match": put.over}

    def put(self, key: str, body: bytes, put: Put) -> str:
        """Puts a whole object in one request; its version."""
        fields = {**self.fields(key, put), **checksum_fields(body)}

        def send() -> str:
            call = Call("PUT", key, (), {**fields, **self._condition(put)}, body)
            answer, _ = self.service.fetch(call, REFUSAL_BYTES_MAX)
            return answer.headers.get("etag", "")

        return self._conditionally(send, key, put)

    def _conditionally(self, send: Callable[[], str], key: str, put: Put) -> str:
        """As ``send``; a condition that fails may be the echo of our own lost reply."""
        try:
            return send()
        except Failure:
            own = self._own(key, put)
            if own is None:
                raise
            return own

    def prepare(self, near: str) -> None:
        """Finds out, once, whether the store heeds conditions; some pass over them in silence.

        Where it does not, nothing is written, unless that is allowed.
        """
        if self._prepared:
            return
        # Named as temporary files are: clean-up knows it, and no copy takes it.
        name = ".mig-%s-%d.part" % (secrets.token_hex(4), secrets.randbelow(10**9))
        probe = near[: near.rfind("/") + 1] + name
        try:
            self._make(probe, {})
            self._conditional = all(self._heeds(probe, *one) for one in _CONDITIONS)
        finally:
            with contextlib.suppress(Failure):
                self.service.tidy(Call("DELETE", probe))
        self._prepared = True
        if not self._conditional and not self.options.allow_racy:
            message = "the store does not bind writing to a condition"
            hint = "allow_racy writes without; another writer's object may be lost then"
            raise Fault("NO_ATOMIC_NOREPLACE", message, hint=hint)

    def _heeds(self, probe: str, name: str, value: str) -> bool:
        try:
            self._make(probe, {name: value})
        except Failure as failure:
            if failure.class_ not in ("condition", "conflict", "not_found", "unsupported"):
                raise
            return failure.class_ != "unsupported"
        return False

    def _make(self, key: str, condition: Dict[str, str]) -> None:
        fields = {**self.service.customer_fields(), **checksum_fields(b"probe"), **condition}
        self.service.fetch(Call("PUT", key, (), fields, b"probe"), REFUSAL_BYTES_MAX)

    def _own(self, key: str, put: Put) -> Optional[str]:
        """The version of what stands there, if this very write put it there."""
        with contextlib.suppress(Failure):
            found = self.look(key)
            nonce = put.metadata.get("mig-write")
            if found is not None and nonce and (found.metadata or {}).get("mig-write") == nonce:
                return found.version
        return None

    def begin(self, key: str, put: Put) -> str:
        """Begins an upload in parts; its name."""
        fields = self.fields(key, put)
        fields["x-amz-checksum-algorithm"] = "CRC32"
        fields["x-amz-checksum-type"] = "FULL_OBJECT"
        call = Call("POST", key, (("uploads", ""),), fields)
        return self.service.ask(
            call,
            lambda _, body: text_of(parse(body, "InitiateMultipartUploadResult"), "UploadId"),
            REFUSAL_BYTES_MAX,
        )

    def put_part(self, key: str, upload: str, index: int, body: bytes) -> Part:
        """Sends a part, counted from 0; the same again replaces it."""
        checks = checksum_fields(body)
        query = (("partNumber", str(index + 1)), ("uploadId", upload))
        headers = {**self.service.customer_fields(), **checks}
        answer, _ = self.service.fetch(Call("PUT", key, query, headers, body), REFUSAL_BYTES_MAX)
        return Part(answer.headers.get("etag", ""), checks["x-amz-checksum-crc32"])

    def uploads(self, key: str) -> List[Tuple[str, int]]:
        """The uploads of a key that did not end: their names, and when each began."""
        found: List[Tuple[str, int]] = []
        markers: Tuple[Tuple[str, str], ...] = ()
        while True:
            query = (("encoding-type", "url"), *markers, ("prefix", key), ("uploads", ""))
            told = self.service.ask(
                Call("GET", None, query),
                lambda _, body: parse(body, "ListMultipartUploadsResult"),
                _PAGE_BYTES_MAX,
            )
            for one in told.findall("Upload"):
                if unquote_plus(text_of(one, "Key")) == key:
                    began = _iso_date_ns(text_of(one, "Initiated"))
                    found.append((text_of(one, "UploadId"), began))
            if told.findtext("IsTruncated") != "true":
                return found
            last = markers
            markers = (
                ("key-marker", unquote_plus(text_of(told, "NextKeyMarker"))),
                ("upload-id-marker", text_of(told, "NextUploadIdMarker")),
            )
            if markers == last:
                raise Failure("garbled", "the listing of uploads does not go on")

    def parts(self, key: str, upload: str) -> Optional[Dict[int, Listed]]:
        """The parts of an upload by their index; ``None`` where there is no such upload."""
        parts: Dict[int, Listed] = {}
        marker = 0
        while True:
            query = (("part-number-marker", str(marker)), ("uploadId", upload))
            call = Call("GET", key, query, self.service.customer_fields())
            try:
                told = self.service.ask(
                    call, lambda _, body: parse(body, "ListPartsResult"), _PAGE_BYTES_MAX
                )
            except Failure as failure:
                if failure.class_ in ("no_upload", "not_found"):
                    return None
                raise
            for one in told.findall("Part"):
                crc = one.findtext("ChecksumCRC32") or ""
                listed = Listed(integer_of(one, "Size"), text_of(one, "ETag"), crc)
                parts[integer_of(one, "PartNumber") - 1] = listed
            if told.findtext("IsTruncated") != "true":
                return parts
            last, marker = marker, integer_of(told, "NextPartNumberMarker")
            if marker <= last:
                raise Failure("garbled", "the listing of parts does not go on")

    def complete(
        self, key: str, upload: str, parts: Sequence[Part], put: Put, crc: int, size: int
    ) -> str:
        """Makes an object of the parts, checked as a whole by the store; its version."""
        rows = "".join(
            "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumCRC32>%s</ChecksumCRC32></Part>"
            % (number, escaped(part.tag), part.checksum)
            for number, part in enumerate(parts, 1)
        )
        body = "<CompleteMultipartUpload>%s</CompleteMultipartUpload>" % rows
        fields = {
            **self.service.customer_fields(),
            "content-type": "application/xml",
            "x-amz-checksum-crc32": crc32_text(crc),
            "x-amz-checksum-type": "FULL_OBJECT",
            "x-amz-mp-object-size": str(size),
        }
        query = (("uploadId", upload),)

        def send() -> str:
            headers = {**fields, **self._condition(put)}
            call = Call("POST", key, query, headers, body.encode("ascii"))
            return self.service.ask(call, _completed, REFUSAL_BYTES_MAX)

        return self._conditionally(send, key, put)

    def abandon(self, key: str, upload: str) -> None:
        """Gives an upload up; one that is gone is no failure."""
        try:
            self.service.tidy(Call("DELETE", key, (("uploadId", upload),)))
        except Failure as failure:
            if failure.class_ not in ("no_upload", "not_found"):
                raise

    def remove(self, key: str, version: str) -> bool:
        """Removes an object if it is still this one; whether it is gone by our hand."""
        found = self.look(key)
        if found is None or found.version != version:
            return False
        try:
            self._remove(key, {"if-match": version})
        except Failure as failure:
            if failure.class_ == "condition":
                return False
            if failure.class_ != "unsupported":
                raise
            self._remove(key, {})
        return True

    def _remove(self, key: str, headers: Dict[str, str]) -> None:
        self.service.fetch(Call("DELETE", key, (), headers), REFUSAL_BYTES_MAX)


def named(key: str) -> str:
    """What a location's key names, without the slash at its end: one, for keys are literal."""
    if key == "/":
        message = "the location ends in two slashes behind its bucket: a part without bytes"
        raise Fault("INVALID_FIELD", message, hint="leave one out to mean all keys")
    return key[:-1] if key.endswith("/") else key


def _field(value: str) -> str:
    """A value that a field of a request can hold."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        message = "what objects get is printable ASCII, without spaces around it"
        raise Fault("INVALID_FIELD", message)
    return value


def _completed(answer: Answer, body: bytes) -> str:
    """The version; a success whose body is a refusal is one."""
    told = parse_any(body)
    if told is not None and told.tag == "Error":
        raise refusal(answer, body)
    return text_of(parse(body, "CompleteMultipartUploadResult"), "ETag")


def object_of(key: str, answer: Answer) -> Object:
    """The object that an answer to HEAD or to a whole GET tells of."""
    headers = answer.headers
    length, version = headers.get("content-length", ""), headers.get("etag", "")
    if not length.isdigit() or not version:
        raise Failure("garbled", "the answer tells no length or no ETag")
    modified = headers.get("last-modified", "")
    metadata = {k[len(_META) :]: v for k, v in headers.items() if k.startswith(_META)}
    checksums: Dict[str, str] = {}
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") == "FULL_OBJECT":
        for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"):
            told = headers.get("x-amz-checksum-" + name, "")
            # A sum of sums ends in the number of its parts.
            if told and "-" not in told:
                checksums[name] = told
    archived = headers.get("x-amz-storage-class") in _ARCHIVED and "x-amz-restore" not in headers
    return Object(key, int(length), version, http_date_ns(modified), metadata, checksums, archived)


def http_date_ns(text: str) -> int:
    """A time as HTTP writes it; 0 for anything else."""
    with contextlib.suppress(TypeError, ValueError, IndexError):
        parsed = email.utils.parsedate(text)
        if parsed is not None:
            return calendar.timegm(parsed) * 10**9
    return 0


def _page_of(body: bytes, prefix: str, asked: Optional[str]) -> Page:
    told = parse(body, "ListBucketResult")
    decode = unquote_plus if told.findtext("EncodingType") == "url" else str
    objects = [_listed(one, decode, prefix) for one in told.findall("Contents")]
    prefixes = [decode(text_of(one, "Prefix")) for one in told.findall("CommonPrefixes")]
    for one in prefixes:
        if not one.startswith(prefix) or not one.endswith("/"):
            raise Failure("garbled", "the listing tells what was not asked for")
    truncated = text_of(told, "IsTruncated")
    if truncated not in ("true", "false"):
        raise Failure("garbled", "the listing does not tell whether it goes on")
    next_ = text_of(told, "NextContinuationToken") if truncated == "true" else None
    if next_ is not None and (not next_ or next_ == asked):
        raise Failure("garbled", "the listing does not go on")
    return Page(objects, prefixes, next_)


def _listed(element: Element, decode: Callable[[str], str], prefix: str) -> Object:
    key = decode(text_of(element, "Key"))
    if not key.startswith(prefix):
        raise Failure("garbled", "the listing tells what was not asked for")
    modified = text_of(element, "LastModified")
    archived = (element.findtext("StorageClass") or "") in _ARCHIVED
    size, version = integer_of(element, "Size"), element.findtext("ETag") or ""
    return Object(key, size, version, _iso_date_ns(modified), archived=archived)


def _iso_date_ns(text: str) -> int:
    whole, _, rest = text.rstrip("Z").partition(".")
    try:
        at = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        fraction = int((rest + "0" * 9)[:9]) if rest else 0
    except ValueError:
        raise Failure("garbled", "the listing tells no time") from None
    return calendar.timegm(at.timetuple()) * 10**9 + fraction
