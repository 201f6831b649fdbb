"""The registry of fault codes: the same table as ``protocol/schema/v1/errors.json``."""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Union


class CodeSpec(NamedTuple):
    """One entry: a stable name and number, who can mend it, and what to do next."""

    code: str
    n: int
    class_: str
    retryable: bool
    hint: str
    explanation: str


ALL: List[CodeSpec] = [
    CodeSpec(
        "PROTOCOL_VERSION",
        1001,
        "config",
        False,
        "ask for a version listed in hello, or update the older side",
        "The host asked for a protocol version that this engine does not speak.",
    ),
    CodeSpec(
        "PARSE",
        1002,
        "config",
        False,
        "send one JSON object per line, in UTF-8",
        "A line is not one JSON object: bad syntax, invalid UTF-8, a lone surrogate, "
        "nesting deeper than 64, or a bare value. The line is dropped; the session "
        "goes on.",
    ),
    CodeSpec(
        "LINE_TOO_LONG",
        1003,
        "config",
        False,
        "split the command; put long lists into a manifest file",
        "A line is longer than limits.line_in of hello. It was skipped up to its newline.",
    ),
    CodeSpec(
        "DUPLICATE_FIELD",
        1004,
        "config",
        False,
        "give each field once",
        "An object names the same field twice, so its meaning would depend on the reader.",
    ),
    CodeSpec(
        "UNKNOWN_OP",
        1005,
        "config",
        False,
        "see ops in hello",
        "The op is not one of this protocol.",
    ),
    CodeSpec(
        "UNKNOWN_FIELD",
        1006,
        "config",
        False,
        "check the spelling; `migration-engine schema --kind commands` lists every field",
        "A command has a field that its op does not know. Ignoring it could silently "
        "change what is done.",
    ),
    CodeSpec(
        "MISSING_FIELD",
        1007,
        "config",
        False,
        "add the field",
        "A field that the op needs is absent.",
    ),
    CodeSpec(
        "INVALID_FIELD",
        1008,
        "config",
        False,
        "see `migration-engine schema --kind commands` for the field's type and range",
        "A field has the wrong type, is out of range, or contradicts another one.",
    ),
    CodeSpec(
        "DUPLICATE_ID",
        1009,
        "config",
        False,
        "use a new id, or wait for the result of the first",
        "The id belongs to a command that is not finished yet.",
    ),
    CodeSpec(
        "UNSUPPORTED",
        1010,
        "config",
        False,
        "see ops and features in hello",
        "The op, scheme or option is known, and this backend does not offer it.",
    ),
    CodeSpec(
        "FEATURE_MISSING",
        1011,
        "config",
        False,
        "drop the name from require, or update the engine",
        "The host required a feature that is not in hello.",
    ),
    CodeSpec(
        "DEPENDENCY",
        1012,
        "config",
        False,
        "mend the command named in after, then send this one again",
        "A command named in after did not end with a status in after_status, so this "
        "one was skipped.",
    ),
    CodeSpec(
        "CANCELLED",
        1013,
        "config",
        True,
        "send the command again; with a key it goes on where it stopped",
        "The command was cancelled before it finished. No partial file stands under a final name.",
    ),
    CodeSpec(
        "UNKNOWN_JOB",
        1014,
        "config",
        False,
        "list them with the jobs op",
        "No job has this target, key or token.",
    ),
    CodeSpec(
        "SHUTTING_DOWN",
        1015,
        "config",
        True,
        "start a new engine",
        "The engine is shutting down and takes no more commands.",
    ),
    CodeSpec(
        "KEY_CONFLICT",
        1016,
        "config",
        False,
        "use a new key for a new command",
        "The key was used before with a different command in this state directory.",
    ),
    CodeSpec(
        "LOCKED",
        1017,
        "transient",
        True,
        "wait for the other engine, or stop it",
        "Another engine is running the command with this key, or holds the lease on "
        "the destination; or another session of a database holds a lock.",
    ),
    CodeSpec(
        "SRC_NOT_FOUND",
        1101,
        "data",
        False,
        "check the path; relative paths start at the engine's working directory",
        "The source, or one of its items, does not exist.",
    ),
    CodeSpec(
        "SRC_PERMISSION",
        1102,
        "auth",
        False,
        "grant read access, or exclude the item",
        "The source may not be read by this user.",
    ),
    CodeSpec(
        "SRC_CHANGED",
        1103,
        "data",
        True,
        "stop the writer, or copy from a snapshot",
        "The source changed while it was read, three times in a row. No mixed content"
        " was published.",
    ),
    CodeSpec(
        "SRC_SPECIAL",
        1104,
        "data",
        False,
        "exclude the item",
        "The item is a fifo, socket or device. It was reported and not opened.",
    ),
    CodeSpec(
        "SRC_READ",
        1105,
        "data",
        True,
        "check the device and its kernel log",
        "Reading the source failed.",
    ),
    CodeSpec(
        "SRC_LINK",
        1106,
        "data",
        False,
        'keep links with symlinks:"preserve", or give their target as the source',
        "A symbolic link could not be followed: it is circular, dangling, or leads "
        "out of the source.",
    ),
    CodeSpec(
        "SRC_CORRUPT",
        1107,
        "data",
        False,
        "get the file again from where it came",
        "The compressed file or archive is damaged, cut off, or followed by bytes "
        "that do not belong to it. Nothing decoded from it was published.",
    ),
    CodeSpec(
        "OUTPUT_LIMIT",
        1108,
        "data",
        False,
        "raise max_bytes or max_ratio, where the file is trusted",
        "The compressed file would grow beyond max_bytes or max_ratio. Nothing "
        "decoded from it was published.",
    ),
    CodeSpec(
        "DST_EXISTS",
        1201,
        "data",
        False,
        "choose on_exists: skip, update or replace",
        "Something of that name stands at the destination, and on_exists is fail. "
        "Nothing was overwritten.",
    ),
    CodeSpec(
        "DST_PERMISSION",
        1202,
        "auth",
        False,
        "grant write access to the destination directory",
        "The destination may not be written by this user.",
    ),
    CodeSpec(
        "DST_NO_SPACE",
        1203,
        "resource",
        True,
        "free space or raise the quota, then send the command again",
        "The destination is full or over quota. What was published is whole; the rest was "
        "removed, but for large files that a key goes on with.",
    ),
    CodeSpec(
        "DST_CHANGED",
        1204,
        "data",
        True,
        "send the command again; see who else writes to the destination",
        "What stands at the destination changed since the command looked at it. It was left "
        "as it is.",
    ),
    CodeSpec(
        "DST_WRITE",
        1205,
        "data",
        True,
        "check the device and its kernel log",
        "Writing the destination failed. The partial file was removed.",
    ),
    CodeSpec(
        "DST_TYPE",
        1206,
        "data",
        False,
        "move the thing in the way, or choose another destination",
        "The destination holds another kind of thing there: a directory where a file "
        "goes, a file where a directory goes, or a symbolic link, which is never "
        "written through.",
    ),
    CodeSpec(
        "DST_READ_ONLY",
        1208,
        "auth",
        False,
        "mount the destination writable",
        "The destination filesystem is read-only.",
    ),
    CodeSpec(
        "NO_ATOMIC_NOREPLACE",
        1209,
        "config",
        False,
        'use another filesystem, or on_exists:"replace"',
        "The destination filesystem cannot publish a name without a chance of "
        "overwriting another writer's.",
    ),
    CodeSpec(
        "NAME_REFUSED",
        1210,
        "data",
        False,
        "rename or exclude the item",
        "The name cannot be held by the destination: too long, empty, with a NUL or a"
        " `..`, or of the form kept for temporary files.",
    ),
    CodeSpec(
        "OVERLAP",
        1211,
        "config",
        False,
        "choose a destination outside the source",
        "Source and destination are the same file, or one directory lies inside the other.",
    ),
    CodeSpec(
        "METADATA_LOST",
        1212,
        "data",
        False,
        "leave the kind out of preserve, or choose a destination that holds it",
        "The destination cannot hold some of the metadata asked for. The items were "
        "copied without it; result.data.lost counts them.",
    ),
    CodeSpec(
        "DELETE_LIMIT",
        1220,
        "config",
        False,
        "look at what plan says would go; if it is right, raise max_delete",
        "More would be deleted at the destination than max_delete allows. Everything "
        "was copied, and nothing was deleted.",
    ),
    CodeSpec(
        "VERIFY_MISMATCH",
        1301,
        "integrity",
        False,
        "keep both sides as they are and compare them; do not cut over",
        "Two things that should be equal are not: a digest, a size, a link's text or "
        "a kind differs, or an entry is missing or extra.",
    ),
    CodeSpec(
        "MANIFEST_INVALID",
        1302,
        "data",
        False,
        "give a manifest written by checksum or copy, or by sha256sum",
        "A line of the manifest is no entry of a known form.",
    ),
    CodeSpec(
        "ACCOUNTING",
        1303,
        "integrity",
        False,
        "treat the run as failed and report it",
        "Planned items do not equal done plus failed plus skipped ones.",
    ),
    CodeSpec(
        "RESUME_REFUSED",
        1305,
        "integrity",
        False,
        "check source and destination; use a new key to start over",
        "The plan, the source root or the destination root is not the one of this "
        "key's first attempt. Nothing was changed.",
    ),
    CodeSpec(
        "DELETE_HALTED",
        1320,
        "integrity",
        False,
        "check that the source is the right one and wholly readable, then send the command again",
        "Nothing was deleted at the destination, since it is not certain what the "
        "source has: it has no items at all, a listing on either side failed, or an "
        "item failed.",
    ),
    CodeSpec(
        "MEMORY",
        1401,
        "resource",
        False,
        "raise --memory-cap, or lower chunk_bytes",
        "The command needs more memory at once than the cap allows.",
    ),
    CodeSpec(
        "HANDLES",
        1402,
        "resource",
        True,
        "raise the open-file limit (ulimit -n)",
        "The process or the system ran out of file handles.",
    ),
    CodeSpec(
        "STATE_DIR",
        1403,
        "resource",
        True,
        "give a writable --state-dir",
        "The state directory cannot be used, so keys and clean-up after a crash cannot be kept.",
    ),
    CodeSpec(
        "JOURNAL_CORRUPT",
        1404,
        "integrity",
        False,
        "keep the file for inspection; use a new key to start over",
        "The record of a keyed command is damaged. Nothing is guessed from it.",
    ),
    CodeSpec(
        "LEASE_LOST",
        1420,
        "resource",
        True,
        "see who writes to the destination, then send the command again",
        "The lease on the destination was lost while the command ran: it could not be"
        " renewed in time, or somebody else broke it. Nothing was published after "
        "that.",
    ),
    CodeSpec(
        "INTERNAL",
        1501,
        "internal",
        False,
        "report it with the log from stderr",
        "A defect of the engine. Only this command is affected.",
    ),
    CodeSpec(
        "SECRET_UNRESOLVED",
        1601,
        "config",
        False,
        "set the variable, or mend the file or descriptor the reference names",
        "A secret reference could not be read. The secret itself is never printed.",
    ),
    CodeSpec(
        "CREDENTIALS_MISSING",
        1701,
        "auth",
        False,
        "give auth in the location, set the environment variables of the store, or write its "
        "profile file; anonymous:true reads public data",
        "No credentials for the object store were found: neither in the location, nor in the "
        "environment, nor in a profile file. Instance metadata is asked only where imds "
        "allows it.",
    ),
    CodeSpec(
        "CREDENTIALS_REFUSED",
        1702,
        "auth",
        False,
        "check key and secret, and that they belong to this endpoint",
        "The object store does not know the key, or the signature does not match its secret.",
    ),
    CodeSpec(
        "CREDENTIALS_EXPIRED",
        1703,
        "auth",
        False,
        "get new credentials, then send the command again; with a key it goes on where it stopped",
        "The token or the temporary credentials are no longer valid, and no new ones could be had.",
    ),
    CodeSpec(
        "CLOCK_SKEW",
        1704,
        "config",
        False,
        "set the clock of this machine, by NTP for example",
        "The clocks of this machine and of the object store differ by more than signatures allow.",
    ),
    CodeSpec(
        "BUCKET_NOT_FOUND",
        1705,
        "config",
        False,
        "check the name; buckets are never made by a copy",
        "The bucket or container does not exist.",
    ),
    CodeSpec(
        "REGION_WRONG",
        1706,
        "config",
        False,
        "give the region of the bucket in the location",
        "The bucket lies in another region than the one asked.",
    ),
    CodeSpec(
        "LIST_PERMISSION",
        1707,
        "auth",
        False,
        "grant s3:ListBucket or the like; a single object needs no listing",
        "The bucket may not be listed with these credentials, so nobody knows what is there. "
        "Nothing was deleted.",
    ),
    CodeSpec(
        "DELETE_PERMISSION",
        1708,
        "auth",
        False,
        "grant s3:DeleteObject or the like, or leave out delete",
        "Objects may not be removed with these credentials.",
    ),
    CodeSpec(
        "OBJECT_ARCHIVED",
        1709,
        "data",
        False,
        "restore the object from its archive tier, then send the command again",
        "The object lies in an archive tier of its store and cannot be read before it is restored.",
    ),
    CodeSpec(
        "THROTTLED",
        1710,
        "transient",
        True,
        "send the command again later, or lower limits.ops_per_s",
        "The service went on asking for patience until the retries were used up.",
    ),
    CodeSpec(
        "REMOTE_UNAVAILABLE",
        1711,
        "transient",
        True,
        "check the endpoint and the network, then send the command again",
        "The service could not be reached, or went on failing until the retries were used up.",
    ),
    CodeSpec(
        "REMOTE_TIMEOUT",
        1712,
        "transient",
        True,
        "check the network, then send the command again",
        "The service did not answer, or did not go on, in time.",
    ),
    CodeSpec(
        "TLS_REFUSED",
        1713,
        "config",
        False,
        "check the host name; give the authority that signed its certificate as tls_ca",
        "The service's certificate is not trusted or does not bear its name, or TLS could "
        "not be agreed on. Nothing was sent.",
    ),
    CodeSpec(
        "REDIRECT_REFUSED",
        1714,
        "config",
        False,
        "give the address that the service names, if it is the right one",
        "The service sent the request on to a place where it is not followed: from https to "
        "http, in a circle, or with credentials to another host.",
    ),
    CodeSpec(
        "REMOTE_ANSWER",
        1715,
        "transient",
        True,
        "check that the endpoint is the service it should be",
        "The service's answer cannot be understood: damaged, cut off, too long, or not of "
        "its protocol. Nothing was concluded from it.",
    ),
    CodeSpec(
        "STORE_REFUSED",
        1716,
        "config",
        False,
        "see the cause: it holds the store's own words",
        "The object store refused the request as wrong.",
    ),
    CodeSpec(
        "DATABASE_NOT_FOUND",
        1801,
        "config",
        False,
        "check the name of the database or schema in the URL",
        "The database or schema does not exist.",
    ),
    CodeSpec(
        "DATABASE_REFUSED",
        1802,
        "config",
        False,
        "see the cause: it holds the server's own words",
        "The database server refused a statement as wrong.",
    ),
    CodeSpec(
        "DATABASE_VERSION",
        1803,
        "config",
        False,
        "use a newer server, or another way to reach its rows",
        "The database server is too old, or speaks another protocol.",
    ),
    CodeSpec(
        "DATABASE_PERMISSION",
        1804,
        "config",
        False,
        "grant the right that the cause names to the user, then send the command again",
        "The user of the database lacks a right.",
    ),
    CodeSpec(
        "SNAPSHOT_REFUSED",
        1805,
        "config",
        False,
        'grant the right that the cause names, or allow a weaker snapshot with "snapshot"',
        "One instant over all readers cannot be had.",
    ),
    CodeSpec(
        "SNAPSHOT_LOST",
        1806,
        "transient",
        True,
        "send the command again: what was written stays, and is compared with the source",
        "The instant that was read is gone: a session of its own ended.",
    ),
    CodeSpec(
        "VALUE_REFUSED",
        1807,
        "data",
        False,
        "choose a policy for such values, or mend the row",
        "A value cannot be held by the column it goes to.",
    ),
    CodeSpec(
        "ROW_TOO_LARGE",
        1808,
        "data",
        False,
        "raise memory_bytes, or leave the column out",
        "A row is longer than memory or the server allows.",
    ),
    CodeSpec(
        "ROW_REFUSED",
        1809,
        "data",
        False,
        "mend the row, or allow rejects",
        "The target refused a row: a key that is there, a NULL where none may be, a value "
        "out of range.",
    ),
    CodeSpec(
        "REJECT_LIMIT",
        1810,
        "data",
        False,
        "see the file of rejects; raise the limit to go on without these rows",
        "More rows were rejected than the command allows.",
    ),
    CodeSpec(
        "CENSUS_LOSS",
        1811,
        "data",
        False,
        "look at the plan's census, and choose a policy for each loss",
        "The source holds values that the target cannot hold. Nothing was written.",
    ),
    CodeSpec(
        "SCHEMA_MISMATCH",
        1812,
        "config",
        False,
        "make the columns agree, or name those to copy",
        "A table that stands at the target does not fit the rows.",
    ),
    CodeSpec(
        "TABLE_NOT_FOUND",
        1813,
        "config",
        False,
        "check the names in include",
        "No table has such a name.",
    ),
    CodeSpec(
        "DEADLOCK",
        1814,
        "transient",
        True,
        "send the command again when others write less there",
        "The server ended a transaction in favour of another one, again and again.",
    ),
]

BY_CODE: Dict[str, CodeSpec] = {spec.code: spec for spec in ALL}


def table() -> List[Dict[str, Union[str, int, bool]]]:
    """The registry in the shape of ``errors.json``."""
    return [
        {
            "code": spec.code,
            "n": spec.n,
            "class": spec.class_,
            "retryable": spec.retryable,
            "hint": spec.hint,
            "explanation": spec.explanation,
        }
        for spec in ALL
    ]
