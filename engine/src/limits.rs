//! Every bound of the engine with its default, in one place. Units are last in the name.

/// Memory for data in flight and queues, bytes.
pub const MEMORY_CAP_BYTES: u64 = 256 << 20;
/// Least memory cap accepted, bytes.
pub const MEMORY_CAP_BYTES_MIN: u64 = 16 << 20;
/// What the process itself needs beside data in flight: code, stacks, tables, output queue.
pub const MEMORY_OVERHEAD_BYTES: u64 = 48 << 20;
/// Bytes read at once.
pub const CHUNK_BYTES: u64 = 1 << 20;
/// Length of a large file's parts, each of which is done, recorded and resumed by itself, bytes.
/// A power of two: so its BLAKE3 is a subtree of the whole's.
pub const PART_BYTES: u64 = 8 << 20;
/// Parts of a file at most: those of larger files are longer, so that what is known of them takes
/// the same memory whatever a sparse file says of its size.
pub const PARTS_MAX: u64 = 1 << 16;
/// Bytes of a hole that are passed at once: what is between two looks at whether the job is wanted.
pub const HOLE_BYTES: u64 = 256 << 20;
/// Greatest `parallel_chunks`.
pub const PARALLEL_CHUNKS_MAX: usize = 64;
/// Least and greatest `chunk_bytes`.
pub const CHUNK_BYTES_RANGE: (u64, u64) = (64 << 10, 64 << 20);
/// Greatest `parallel_files`.
pub const PARALLEL_FILES_MAX: usize = 256;
/// Jobs running at once.
pub const JOBS_RUNNING: usize = 4;
/// Greatest number of jobs running at once.
pub const JOBS_RUNNING_MAX: usize = 256;
/// Worker threads of all jobs together, beside one for each job.
pub const WORKERS_MAX: usize = 256;
/// Finished commands whose status `after` still knows.
pub const FINISHED_REMEMBERED: usize = 10_000;
/// Lines of droppable kinds waiting for a slow reader.
pub const DROPPABLE_LINES_MAX: usize = 256;
/// Lines in a row that are an engine's own events, after which input is taken for an echo.
pub const ECHOED_LINES_MAX: usize = 100;
/// Items handed to a worker at once.
pub const BATCH_ITEMS: usize = 256;
/// Bytes of content after which a batch is handed over even when it is not full.
pub const BATCH_BYTES: u64 = 4 << 20;
/// Batches waiting for workers.
pub const BATCHES_WAITING: usize = 32;
/// Written items waiting for one common sync.
pub const SYNC_ITEMS: usize = 512;
/// Written bytes waiting for one common sync.
pub const SYNC_BYTES: u64 = 256 << 20;
/// Attempts at an item whose source changes under the reader.
pub const CHANGED_ATTEMPTS: u32 = 3;
/// Longest item name beneath a root, bytes. Longer than the system's own PATH_MAX, since names are
/// reached part by part; short enough for a line of output.
pub const ITEM_PATH_BYTES_MAX: usize = 8 << 10;
/// Longest name that one system call takes, bytes (PATH_MAX of Linux less its NUL).
pub const CALL_PATH_BYTES_MAX: usize = 4095;
/// Items registered as active for progress.
pub const ACTIVE_SHOWN: usize = 8;
/// Files shorter than this are not shown as active, bytes.
pub const ACTIVE_BYTES_MIN: u64 = 8 << 20;
/// Failed items named in a result; all are in its report.
pub const FAILURES_SHOWN: usize = 20;
/// Failures after which the report file is begun.
pub const REPORT_BUFFERED: usize = 20;
/// Stack of a job's thread, bytes, touched only as far as a tree is deep: a walk goes down as many
/// levels as a name of `ITEM_PATH_BYTES_MAX` has.
pub const JOB_STACK_BYTES: usize = 64 << 20;
/// Deepest directory that is searched for leftovers, in levels.
pub const DEPTH_MAX: usize = ITEM_PATH_BYTES_MAX / 2;
/// Bytes that the memory endpoint holds in all.
pub const MEMORY_STORE_BYTES_MAX: u64 = 64 << 20;
/// Memory for names of subdirectories that a walk has yet to go into, bytes: some 50,000 names. A
/// list that goes beyond is in a file.
pub const NAMES_BYTES: usize = 1 << 20;
/// Extended attributes of one item that are held in memory, bytes; more of them are left behind.
pub const EXTENDED_BYTES_MAX: u64 = 1 << 20;
/// Memory for first names of files with several names, bytes: what is there without asking, what is
/// asked for at once, and the most of it. Beyond, they go to disk.
pub const LINKS_BYTES_FREE: u64 = 256 << 10;
/// As [`LINKS_BYTES_FREE`].
pub const LINKS_BYTES_STEP: u64 = 1 << 20;
/// As [`LINKS_BYTES_FREE`].
pub const LINKS_BYTES_MAX: u64 = 16 << 20;
/// Share of the open-file limit that one batch of written files may hold.
pub const STAGED_HANDLES_SHARE: u64 = 8;
/// Greatest `threads`.
pub const THREADS_MAX: u64 = 64;
/// Plain bytes that `decompress` gives at most where the command does not say.
pub const MAX_BYTES: u64 = 1 << 40;
/// Plain bytes for each stored one that `decompress` gives at most where the command does not say.
pub const MAX_RATIO: u64 = 1000;
/// Least plain bytes of a block that is compressed by itself, where memory is short.
pub const BLOCK_BYTES_MIN: usize = 256 << 10;
/// Plain bytes of a member of a compressed file that is decoded by itself, at most.
pub const MEMBER_PLAIN_BYTES_MAX: usize = 16 << 20;
/// Greatest window of a zstd frame that is read, bytes.
pub const ZSTD_WINDOW_BYTES_MAX: u64 = 128 << 20;
/// Memory that a frame of an archive takes in the tables that say where it lies, bytes: its entry
/// as it is stored, decoded, summed up, and named by an index, each while a list of it grows.
pub const FRAME_TABLE_BYTES: u64 = 128;
/// How far a clock that stamps files may be behind, nanoseconds: two ticks of a kernel at 100 Hz.
pub const CLOCK_TICK_NS: i128 = 20_000_000;
/// Memory of the table of an archive's files that may have other names, bytes: it goes to disk
/// beyond that. 2^16 files as they are read.
pub const ARCHIVE_NAMES_BYTES: usize = 5 << 20;
/// Directories made by a sink that it remembers, 32 bytes each; beyond that any directory that
/// stands is taken for one of them, which costs a sync of the one above.
pub const MADE_DIRECTORIES_MAX: usize = 16_384;
/// Times that an archive which is read in order is begun again, for members that name an earlier
/// one: each time costs decoding all before it.
pub const ARCHIVE_RESTARTS_MAX: u32 = 64;
/// Longest records in front of a tar member, bytes.
pub const ARCHIVE_RECORDS_BYTES_MAX: u64 = 1 << 20;
/// Plain bytes of an archive's index that are compressed at once.
pub const INDEX_BYTES: usize = 1 << 20;
/// Plain bytes of a chunk of an index that is read: [`INDEX_BYTES`] and a last record.
pub const INDEX_CHUNK_BYTES_MAX: usize = 2 * INDEX_BYTES;
/// How long the record of a lease must stand unchanged before others break it, milliseconds.
pub const LEASE_TTL_MS: u64 = 60_000;
/// Time between renewals of a lease, milliseconds.
pub const LEASE_RENEW_MS: u64 = 15_000;
/// Time after the beginning of the last good renewal when the holder commits no more,
/// milliseconds: two thirds of the time to live, so that clocks may differ by half in their rate.
pub const LEASE_STOP_MS: u64 = 40_000;
/// Least time between two looks at a lease that is waited for, milliseconds.
pub const LEASE_WAIT_LEAST_MS: u64 = 100;
/// Greatest time between two looks at a lease that is waited for, milliseconds.
pub const LEASE_WAIT_MOST_MS: u64 = 15_000;
/// How long a lease that is held is waited for where the command does not say, milliseconds.
pub const LOCK_TIMEOUT_MS: u64 = 600_000;
/// Names removed from a leased destination before the lease is asked again.
pub const DELETES_A_COMMIT: usize = 32;
/// Prefixes of a bucket that are listed at once.
pub const LISTED_AT_ONCE: usize = 8;
/// Pages of a listing that are read ahead.
pub const LISTED_PAGES_AHEAD: usize = 2;
/// Pages of a listing in a row that may hold nothing and go on: services leave out what does not
/// count, a page at a time, and one that does so for ten million entries is none to wait for.
pub const EMPTY_PAGES_MAX: u64 = 10_000;
/// Prefixes that are listed each by itself; more of them are listed as one.
pub const LISTED_PREFIXES_MAX: usize = 64;
/// Names of a prefix that are kept to tell which are free.
pub const LISTED_NAMES_MAX: usize = 10_000;
/// Prefixes whose names are kept.
pub const LISTINGS_KEPT: usize = 8;
/// Files in hand at once, and parts of one, where each call waits for a network.
pub const PARALLEL_REMOTE: usize = 64;
/// Parts of one file in hand at once, where each call waits for a network.
pub const PARALLEL_REMOTE_CHUNKS: usize = 16;
/// Entries of a timetable of rates.
pub const TIMETABLE_ENTRIES_MAX: usize = 256;
/// Longest step of a wait for a service, milliseconds: how long a cancel may go unseen.
pub const REMOTE_STEP_MS: u64 = 100;
/// How long connecting may take over all addresses of a name, TLS included, milliseconds.
pub const REMOTE_CONNECT_MS: u64 = 20_000;
/// How long the first byte of an answer may take, milliseconds. Stores complete large uploads and
/// copies before they answer.
pub const REMOTE_ANSWER_MS: u64 = 120_000;
/// Longest silence while bytes are sent or received, milliseconds.
pub const REMOTE_SILENCE_MS: u64 = 30_000;
/// Longest time that the body of an answer without content takes, milliseconds. Some stores send
/// spaces while they complete an upload.
pub const REMOTE_WHOLE_MS: u64 = 900_000;
/// Least bytes each second of content, over [`REMOTE_SLOW_MS`].
pub const REMOTE_SLOW_BYTES_PER_S: u64 = 1024;
/// How long content may come slower than [`REMOTE_SLOW_BYTES_PER_S`], milliseconds.
pub const REMOTE_SLOW_MS: u64 = 30_000;
/// Longest head of an answer, bytes.
pub const REMOTE_HEAD_BYTES_MAX: usize = 64 << 10;
/// Header fields of an answer at most.
pub const REMOTE_FIELDS_MAX: usize = 128;
/// Interim answers (1xx) in front of one answer at most.
pub const REMOTE_INTERIM_MAX: usize = 16;
/// Bytes read ahead for heads and chunk sizes.
pub const REMOTE_AHEAD_BYTES: usize = 16 << 10;
/// Longest line that says a chunk's size, bytes.
pub const REMOTE_CHUNK_LINE_BYTES_MAX: usize = 4 << 10;
/// Longest trailers behind the last chunk, bytes.
pub const REMOTE_TRAILER_BYTES_MAX: usize = 16 << 10;
/// Bytes of a refusal that a dialect is shown.
pub const REMOTE_REFUSAL_BYTES: usize = 64 << 10;
/// Longest wait for anything, and time for all attempts, when a job's leavings are cleared away,
/// milliseconds: a cancel is still answered soon.
pub const REMOTE_PARTING_MS: u64 = 10_000;
/// Bytes of a batch of rows after which it is full.
pub const BATCH_ROWS_BYTES: usize = 1 << 20;
/// How often a batch stands in memory: as read, as arrays, as written, and one of these growing.
pub const BATCH_COPIES: u64 = 4;
/// Indexes or constraints of a table that are made by one statement or in one transaction, at most:
/// all of them together need room for as many sorted copies.
pub const BUILT_TOGETHER_MAX: usize = 16;
/// Rows from which the indexes of a table are built apart, by several workers, where the engine reads
/// the rows for each of them anyway: below, a session costs more than a build.
pub const BUILT_TOGETHER_ROWS: u64 = 100_000;
/// Rows of a batch where the command does not say.
pub const BATCH_ROWS: usize = 10_000;
/// Rows that are taken again by one span, and asked for by one statement.
pub const RETRY_KEYS: usize = 100;
/// Lines of a file of rejected rows that are taken again by one command: their keys are in memory.
pub const RETRY_LINES: usize = 1_000_000;
/// Rows of a span where the command does not say.
pub const SPAN_ROWS: u64 = 250_000;
/// Spans in hand at once where the command does not say, and at most.
pub const PARALLEL_SPANS: (usize, usize) = (4, 64);
/// Rows whose keys are held on both sides while the ones that differ are looked for.
pub const COMPARED_ROWS: u64 = 20_000;
/// Rows that are named where two tables differ.
pub const DIFFERENCES_SHOWN: usize = 20;
/// Attempts at a span whose transaction is lost, by deadlock or with its session.
pub const SPAN_ATTEMPTS: u32 = 6;
/// When a connection that says nothing is asked whether it lives: first, and then each time, in
/// seconds; and how often in vain until it counts as broken.
pub const SOCKET_KEEPALIVE_S: (u64, u64, u32) = (60, 10, 6);
/// How long a server may take no byte of what is written to it, milliseconds. A database may build
/// what others wait for.
pub const SOCKET_WRITE_MS: u64 = 600_000;
/// Attempts at one request at most.
pub const REMOTE_TRIES: u32 = 10;
/// Time for all attempts at one request, milliseconds.
pub const REMOTE_TRIES_MS: u64 = 180_000;
/// Least and greatest wait between two attempts, milliseconds.
pub const REMOTE_BACKOFF_MS: (u64, u64) = (100, 15_000);
/// Longest wait that a service may ask for by `Retry-After`, milliseconds.
pub const REMOTE_RETRY_AFTER_MS: u64 = 300_000;
/// Tokens of the process's retry budget, and what a retry, a retry after a time-out cost.
pub const REMOTE_BUDGET_TOKENS: i64 = 500;
/// As [`REMOTE_BUDGET_TOKENS`].
pub const REMOTE_BUDGET_RETRY: i64 = 5;
/// As [`REMOTE_BUDGET_TOKENS`].
pub const REMOTE_BUDGET_TIMEOUT: i64 = 10;
/// Failures in a row after which a service is left alone for a while.
pub const REMOTE_BREAKER_ROW: u32 = 5;
/// Answers within [`REMOTE_BREAKER_CELLS`] seconds of which half must fail for the same.
pub const REMOTE_BREAKER_LEAST: u32 = 20;
/// Seconds over which a breaker counts.
pub const REMOTE_BREAKER_CELLS: usize = 30;
/// How long a failing service is left alone, milliseconds.
pub const REMOTE_BREAKER_MS: u64 = 10_000;
/// Requests at once to a service for one verb: at first, and at most.
pub const REMOTE_SLOTS: (f64, f64) = (8.0, 64.0);
/// How long nothing may end before one request more is let through, milliseconds.
pub const REMOTE_SLOTS_PATIENCE_MS: u64 = 5_000;
/// Least rate that a service's refusals lead to, requests each second.
pub const REMOTE_PACE_LEAST: f64 = 5.0;
/// Rate beyond which none holds any more, requests each second.
pub const REMOTE_PACE_MOST: f64 = 20_000.0;
/// Connections at rest: to one origin, and in all.
pub const REMOTE_IDLE_MAX: (usize, usize) = (64, 256);
/// How long a connection rests before it is closed, milliseconds.
pub const REMOTE_IDLE_MS: u64 = 30_000;
/// Origins whose rates are remembered.
pub const REMOTE_SERVICES_MAX: usize = 1024;
/// How long the addresses of a name are believed, milliseconds.
pub const REMOTE_NAMES_MS: u64 = 30_000;
/// Names whose addresses are remembered.
pub const REMOTE_NAMES_MAX: usize = 1024;
/// Redirects followed for one request.
pub const REMOTE_REDIRECTS_MAX: usize = 5;
/// Longest file of trusted certificates, bytes.
pub const REMOTE_CA_BYTES_MAX: u64 = 4 << 20;
/// Bytes of TLS records read at once.
pub const REMOTE_TLS_BYTES: usize = 64 << 10;
/// Longest file of credentials that is read, bytes.
pub const CREDENTIALS_FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest answer of a token service, bytes.
pub const CREDENTIALS_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Longest time before their end that credentials are renewed, milliseconds; a quarter of their
/// life where that is shorter.
pub const CREDENTIALS_RENEW_MS: u64 = 300_000;
/// Time after a failed renewal when it is not tried again, milliseconds.
pub const CREDENTIALS_FAILED_MS: u64 = 5_000;
/// Age below which credentials that are refused as expired are taken for another thread's renewal,
/// milliseconds.
pub const CREDENTIALS_YOUNG_MS: u64 = 10_000;
/// Profiles that name each other as their source, in a row.
pub const PROFILES_CHAINED_MAX: usize = 8;
/// Bytes that a database session reads ahead.
pub const DATABASE_READ_BYTES: usize = 512 << 10;
/// How long a database may say nothing, milliseconds: it may sort, build or wait for a lock before
/// its first row. A peer that is gone is found by keep-alive ([`SOCKET_KEEPALIVE_S`]).
pub const DATABASE_SILENCE_MS: u64 = 86_400_000;
/// Bytes of all rows of an answer that is no `COPY`: catalogues.
pub const DATABASE_ANSWER_BYTES_MAX: usize = 256 << 20;
/// Longest message of an answer that is no `COPY`, bytes.
pub const DATABASE_MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Longest message before a session is ready, bytes.
pub const DATABASE_GREETING_BYTES_MAX: usize = 64 << 10;
/// Messages before a session is ready at most.
pub const DATABASE_GREETINGS_MAX: usize = 1024;
/// How long a lock of others is waited for in a database where the command does not say, and at
/// most, seconds.
pub const DATABASE_LOCK_S: u64 = 60;
/// As [`DATABASE_LOCK_S`].
pub const DATABASE_LOCK_MAX_S: u64 = 86_400;
/// How long a statement that changes a table waits for its lock at once, seconds: all who come later
/// wait behind it for as long.
pub const DATABASE_LOCK_TURN_S: u64 = 3;
/// How long it is stepped back between two such turns, milliseconds.
pub const DATABASE_LOCK_PAUSE_MS: u64 = 500;
/// Longest statement that a command may ask for, seconds.
pub const DATABASE_STATEMENT_MAX_S: u64 = 604_800;
/// How old an answer may be of how far replicas are behind, milliseconds.
pub const REPLICAS_LOOK_MS: u64 = 1000;
/// Wait between two looks at that answer, milliseconds.
pub const REPLICAS_WAIT_MS: u64 = 200;
/// How far behind replicas may be at most, where a command bounds it, seconds.
pub const REPLICAS_LAG_MAX_S: u64 = 86_400;
/// How long it is waited for what became of a commit whose answer was lost, milliseconds.
pub const DATABASE_PROBE_MS: u64 = 60_000;
/// How long a statement of MySQL may take until its next byte, milliseconds: an index may be built. A
/// peer that is gone is found by [`SOCKET_KEEPALIVE_S`].
pub const MYSQL_ANSWER_MS: u64 = 86_400_000;
/// Bytes of a result that is held whole: a catalogue, the ends of ranges.
pub const MYSQL_RESULT_BYTES_MAX: usize = 64 << 20;
/// A part on its way for so much longer than most of its fellows took is asked for a second time:
/// so many times as long, and at least so many milliseconds.
pub const HEDGE_TIMES: u32 = 3;
/// See [`HEDGE_TIMES`].
pub const HEDGE_AFTER_MS: u64 = 2_000;
/// Parts that must have ended before any is late, and most whose time is remembered.
pub const HEDGE_FELLOWS: (usize, usize) = (3, 64);
/// Parts of a job that may always be asked for twice, and requests of it for each one more.
pub const HEDGE_SHARE: (u64, u64) = (4, 20);
