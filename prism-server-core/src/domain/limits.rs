//! Every limit of the native API, in one place. `docs/reference/limits.md` tells them to users.

use std::time::Duration;

/// Longest request body, in bytes.
pub const BODY: usize = 4 * 1024 * 1024;
/// Longest time that a request body may take to arrive.
pub const BODY_TIME: Duration = Duration::from_secs(30);
/// Longest `customer_id`, `name` and `title`, in characters.
pub const LABEL: usize = 255;
/// Longest system prompt, message and inline skill, in bytes of UTF-8.
pub const TEXT: usize = 128 * 1024;
/// Longest URL, in bytes.
pub const URL: usize = 2048;
/// Longest `provider/model`, in characters.
pub const MODEL: usize = 255;
/// Most MCP servers of a deployment.
pub const MCP_SERVERS: usize = 20;
/// Most tools in the allowlist of an MCP server.
pub const MCP_TOOLS: usize = 200;
/// Most headers of an MCP server.
pub const MCP_HEADERS: usize = 20;
/// Longest value of a header of an MCP server, in bytes, before its variables are replaced.
pub const HEADER_VALUE: usize = 4096;
/// Longest request to an MCP server, in bytes.
pub const MCP_REQUEST: usize = 4 * 1024 * 1024;
/// Longest answer of an MCP server, or event of a stream of answers, in bytes.
pub const MCP_ANSWER: usize = 16 * 1024 * 1024;
/// Most requests to MCP servers that a deployment has open at a time, streams included.
pub const MCP_CALLS: usize = 64;
/// Most tools of an MCP server that are listed.
pub const MCP_TOOLS_LISTED: usize = 1000;
/// Most pages of tools that an MCP server is asked for.
pub const MCP_TOOL_PAGES: usize = 20;
/// Longest time that an MCP server may take to list its tools, in all.
pub const MCP_LISTING_TIME: Duration = Duration::from_secs(10);
/// Most lists of tools of a deployment that are being made at a time.
pub const MCP_LISTINGS: usize = 2;
/// Longest description of a tool of an MCP server that is told, in bytes.
pub const TOOL_DESCRIPTION: usize = 1024;
/// Most tools of a deployment that are switched off.
pub const DISABLED_TOOLS: usize = 200;
/// Most patterns of tools that need an approval.
pub const APPROVAL_PATTERNS: usize = 50;
/// Longest pattern of tools that need an approval, in characters.
pub const APPROVAL_PATTERN: usize = 320;
/// Longest time that a deployment can let its questions wait, in seconds.
pub const APPROVAL_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Most calls of tools of MCP servers that humans have allowed and the agent of a deployment has not made yet.
pub const ALLOWED_CALLS: usize = 16;
/// Longest request to a model, in bytes.
pub const MODEL_REQUEST: usize = 32 * 1024 * 1024;
/// Most calls of its model that a deployment has open at a time.
pub const MODEL_CALLS: usize = 32;
/// Most bytes of requests and answers to the outside that are kept in memory for a deployment at a time.
pub const OUTBOUND_MEMORY: usize = 128 * 1024 * 1024;
/// Longest time that the body of an agent's request may take to arrive.
pub const OUTBOUND_BODY_TIME: Duration = Duration::from_secs(60);
/// Longest error of a model or an MCP server that is passed on, in bytes; the rest is left out.
pub const OUTBOUND_ERROR: usize = 64 * 1024;
/// Most skills of a deployment.
pub const SKILLS: usize = 20;
/// Longest `SKILL.md`, in bytes.
pub const SKILL_FILE: usize = TEXT;
/// Most secrets of a deployment.
pub const SECRETS: usize = 100;
/// Longest value of a secret, in bytes.
pub const SECRET_VALUE: usize = 64 * 1024;
/// Most attachments of a message.
pub const ATTACHMENTS: usize = 20;
/// Most items of a page.
pub const PAGE: u32 = 100;
/// Items of a page when the request does not say.
pub const PAGE_DEFAULT: u32 = 20;
/// Most messages that a thread answers with; the newest are kept.
pub const THREAD_MESSAGES: u32 = 1000;
/// Most bytes of the messages that a thread answers with; the newest are kept, at least one.
pub const THREAD_TEXT: usize = 4 * 1024 * 1024;
/// Longest text that a run leaves on its thread as one message, in bytes; the event log has all of it.
pub const AGENT_TEXT: usize = 1024 * 1024;
/// Bytes of payload after which a store ends a page of events.
pub const EVENT_PAGE: usize = 1024 * 1024;
/// Longest path of a file in a workspace, in bytes.
pub const PATH: usize = 1024;
/// Longest part of such a path, in bytes.
pub const NAME: usize = 255;
/// Largest file that can be uploaded, in bytes, unless the operator sets another limit. Larger ones that an agent made
/// are read all the same.
pub const FILE: u64 = 512 * 1024 * 1024;
/// Longest time between two pieces of a file that is uploaded.
pub const FILE_PAUSE: Duration = Duration::from_secs(30);
/// Longest time that the upload of a file may take.
pub const FILE_TIME: Duration = Duration::from_secs(60 * 60);
/// Most files of a deployment that are uploaded or downloaded at a time.
pub const FILE_TRANSFERS: usize = 32;
/// Most bytes of a file that are in memory for a transfer, before they are handed on.
pub const FILE_PIECE: usize = 256 * 1024;
/// Most entries of a directory in one answer.
pub const ENTRIES: usize = 10_000;
/// Largest file of a workspace on a disk that the gateway itself reads or writes, such as a skill, in bytes.
pub const WORKSPACE_FILE: usize = 16 * 1024 * 1024;
/// Largest file of an in-memory workspace, in bytes.
pub const MEMORY_FILE: usize = 1024 * 1024;
/// Most bytes of all files of an in-memory workspace.
pub const MEMORY_WORKSPACE: usize = 16 * 1024 * 1024;
/// Most files of an in-memory workspace, so that empty ones are bounded too.
pub const MEMORY_FILES: usize = 10_000;
/// Longest reason of a decision, in bytes.
pub const REASON: usize = 4096;
/// Longest idempotency key, in characters.
pub const IDEMPOTENCY_KEY: usize = 255;
/// How long an answer is kept under its idempotency key.
pub const REPLY_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Most names of fields that an entry of the audit log has.
pub const AUDIT_FIELDS: usize = 50;
/// Most automations of a deployment.
pub const AUTOMATIONS: u32 = 100;
/// Longest schedule of an automation as it is given, in characters.
pub const SCHEDULE: usize = 255;
/// Longest name of a time zone, in characters.
pub const TIMEZONE: usize = 64;
/// Longest instructions of an automation, in bytes.
pub const INSTRUCTIONS: usize = 32 * 1024;
/// Entries that are kept in the history of an automation; older ones are removed.
pub const AUTOMATION_RUNS: u32 = 1000;
/// Entries of its history that an automation answers with.
pub const RECENT_RUNS: u32 = 10;
/// Most unread steering messages of one run.
pub const UNREAD_MESSAGES: u64 = 100;
/// Most snapshots of a tenant.
pub const SNAPSHOTS: u32 = 1000;
/// How long a snapshot is kept.
pub const SNAPSHOT_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest content of a memory, in characters.
pub const MEMORY_CONTENT: usize = 2000;
/// Most memories of a deployment.
pub const MEMORIES: usize = 500;
/// Most characters of all memories of a deployment that are made over the API, with 3 more for each memory.
pub const MEMORY_TEXT: usize = 32_000;
/// The same with what the agent remembers by itself.
pub const AGENT_MEMORY_TEXT: usize = 40_000;
/// Longest query of a list of memories, in characters.
pub const MEMORY_QUERY: usize = 255;
/// Longest summary of a dream, in bytes.
pub const DREAM_SUMMARY: usize = 16 * 1024;
/// Most dreams of a deployment that are kept; the oldest are forgotten.
pub const DREAMS: u32 = 100;
/// Most webhooks of a tenant.
pub const WEBHOOKS: usize = 50;
/// Most types of events that a webhook names.
pub const WEBHOOK_EVENTS: usize = 20;
/// How long a try to deliver to a webhook may take in all.
pub const WEBHOOK_TIME: Duration = Duration::from_secs(15);
/// Most bytes that are read of a webhook's answer, which tells nothing but its status.
pub const WEBHOOK_ANSWER: usize = 16 * 1024;
/// Most tries that are kept of a delivery; the newest stay.
pub const WEBHOOK_ATTEMPTS: usize = 20;
/// Most deliveries to one webhook that are under way at a time.
pub const WEBHOOK_TRIES: usize = 4;
/// Deliveries that wait for one webhook before it is disabled.
pub const WEBHOOK_BACKLOG: u64 = 100_000;
/// How long a webhook may fail without a success before it is disabled.
pub const WEBHOOK_FAILING: Duration = Duration::from_secs(5 * 24 * 3600);
/// Longest time that a webhook is left alone because it asked for that.
pub const WEBHOOK_PAUSE: Duration = Duration::from_secs(3600);
/// How long the secret before a rotation signs as well.
pub const WEBHOOK_ROTATION: Duration = Duration::from_secs(24 * 3600);
/// How long a delivery is kept after it was taken or given up.
pub const WEBHOOK_RETENTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Most deliveries that one request sends again.
pub const WEBHOOK_REDELIVERIES: usize = 1000;
/// Longest install command and entrypoint of a program, in bytes.
pub const COMMAND: usize = 64 * 1024;
/// Longest name of a template, in characters.
pub const TEMPLATE: usize = 128;
/// Longest name in the config of a program, in characters.
pub const PROGRAM_NAME: usize = 128;
/// Most jobs, and most services, of a deployment of a program that have not ended.
pub const ACTIVE_PROGRAMS: u32 = 100;
/// Most machines of a tenant that are not destroyed.
pub const MACHINES: u32 = 100;
/// Most snapshots of machines of a tenant.
pub const MACHINE_SNAPSHOTS: u32 = 100;
/// Most processors and memory, in MiB, of a machine, and what it gets that says nothing of them.
pub const MACHINE_CPUS: (u32, u32) = (PROGRAM_CPUS, 1);
/// As [`MACHINE_CPUS`].
pub const MACHINE_MEMORY: (u32, u32) = (PROGRAM_MEMORY, 256);
/// Least and most of the disk that a machine can ask for, in mebibytes; the operator can let it have less.
pub const MACHINE_DISK: (u32, u32) = (512, 128 * 1024);
/// Longest life of a machine, and that of one that says nothing of it, in milliseconds.
pub const MACHINE_LIFE: (u32, u32) = (7 * 24 * 60 * 60 * 1000, 300_000);
/// How long a request waits for a machine that is being made.
pub const MACHINE_WAIT: Duration = Duration::from_secs(60);
/// Longest metadata of a machine, in bytes of JSON.
pub const MACHINE_METADATA: usize = METADATA;
/// Longest time of an executed program, and that of one that says nothing of it, in seconds.
pub const EXECUTION_SECONDS: (u32, u32) = (60 * 60, 30);
/// Most that an executed program may write, to its output and its errors together, in bytes.
pub const EXECUTION_OUTPUT: usize = 8 * 1024 * 1024;
/// Most that the server holds of what executed programs have written while somebody waits for them, in bytes.
pub const EXECUTION_MEMORY: usize = 256 * 1024 * 1024;
/// Longest name of an executed program, or text for the shell, in bytes. With its arguments a system takes as much again.
pub const EXECUTION_LINE: usize = COMMAND;
/// Most arguments of an executed program, and how long they are together at most, in bytes.
pub const EXECUTION_ARGUMENTS: (usize, usize) = (1000, 1024 * 1024);
/// Most that is told of what a program in the background wrote, for each of its streams, in bytes: the last.
pub const BACKGROUND_OUTPUT: usize = 1024 * 1024;
/// Most input that a process in the background is given at once, in bytes.
pub const PROCESS_INPUT: usize = 1024 * 1024;
/// How long it is waited for a process in the background to read its input.
pub const PROCESS_PATIENCE: Duration = Duration::from_secs(10);
/// Most channels to a machine, and to all machines of a tenant.
pub const CHANNELS: (usize, usize) = (64, 512);
/// Longest message that a client sends over a channel, in bytes.
pub const CHANNEL_MESSAGE: usize = BODY;
/// Most programs that are watched over a channel at a time.
pub const CHANNEL_PROGRAMS: usize = 16;
/// How long a channel takes requests: whoever has lost the right to one gets no new one.
pub const CHANNEL_AGE: Duration = Duration::from_secs(300);
/// How long a channel is kept over which no program is watched.
pub const CHANNEL_IDLE: Duration = Duration::from_secs(60);
/// How often a client is asked over a channel whether it is there.
pub const CHANNEL_PING: Duration = Duration::from_secs(20);
/// How long a client may say nothing over a channel, as long as it takes what it is sent.
pub const CHANNEL_SILENCE: Duration = Duration::from_secs(90);
/// How long a client may take nothing of what it is sent over a channel.
pub const CHANNEL_STALL: Duration = Duration::from_secs(300);
/// Most entries that are listed in a machine at once.
pub const MACHINE_LISTING: usize = 10_000;
/// Largest file that is read as a part of JSON, in bytes.
pub const MACHINE_TEXT: usize = 2 * 1024 * 1024;
/// Largest file that is written as a part of JSON, in bytes.
pub const MACHINE_WRITE: usize = 16 * 1024 * 1024;
/// Longest body that writes a file as a part of JSON, in bytes: base64 takes a third more.
pub const MACHINE_WRITE_BODY: usize = 24 * 1024 * 1024;
/// Most files that are written by one request, and the bytes of its body.
pub const BATCH_FILES: (usize, usize) = (1000, 64 * 1024 * 1024);
/// Most uploads in parts that have not ended: of a machine, and of a tenant.
pub const UPLOADS: (u32, u32) = (16, 64);
/// Most bytes of uploads in parts that have not ended, of a machine and of a tenant, as multiples of the largest file.
pub const UPLOAD_ROOM: (u64, u64) = (2, 8);
/// Bytes of a part of an upload, of one that has no more than [`UPLOAD_PARTS`] of them; else they are larger.
pub const UPLOAD_PART: u64 = 8 * 1024 * 1024;
/// Most parts of an upload.
pub const UPLOAD_PARTS: u32 = 1024;
/// Most parts of an upload that are on their way at a time.
pub const UPLOAD_CONCURRENCY: u32 = 4;
/// How long an upload waits for another part, and how long it lives at most.
pub const UPLOAD_LIFE: (Duration, Duration) =
    (Duration::from_secs(60 * 60), Duration::from_secs(24 * 60 * 60));
/// Longest time that the tools of a machine may take to unpack an archive.
pub const UNPACKING_TIME: Duration = Duration::from_secs(240);
/// How long it is known that an upload has ended.
pub const UPLOAD_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of the disk that uploads in parts leave free.
pub const UPLOAD_RESERVE: u64 = 1024 * 1024 * 1024;
/// Most items of a page of deployments of programs and what they have, and how many are answered when none are asked for.
pub const PROGRAM_PAGE: (u32, u32) = (200, 50);
/// Longest metadata of a deployment of a program, in bytes of JSON.
pub const METADATA: usize = 64 * 1024;
/// Longest description of a deployment of a program, in bytes.
pub const DESCRIPTION: usize = 4096;
/// Longest body that makes a version of a program, with its manifest, in bytes.
pub const VERSION_BODY: usize = 32 * 1024 * 1024;
/// Most requests whose bodies may be longer than [`BODY`] that are answered at the same time; more wait.
pub const LARGE_BODIES: usize = 4;
/// Longest input of a job, in bytes of JSON: it is a variable of its environment.
pub const JOB_INPUT: usize = 96 * 1024;
/// Longest environment of a job or a service, in bytes of names and values.
pub const ENVIRONMENT: usize = 96 * 1024;
/// Longest reason that somebody gives for an end or a restart, in characters.
pub const WISH: usize = 1024;
/// How much of the log of a job or a service is kept, in bytes, unless the operator has set another.
pub const PROGRAM_LOG: u64 = 64 * 1024 * 1024;
/// Most lines of a page of a log.
pub const LOG_PAGE: u32 = 1000;
/// How many lines of a log are answered when no number is asked for.
pub const LOG_PAGE_DEFAULT: u32 = 100;
/// Most environment variables that a program asks for, required and optional ones together.
pub const PROGRAM_VARIABLES: usize = 256;
/// Most outputs of a program.
pub const PROGRAM_OUTPUTS: usize = 256;
/// Most processors that a program can ask for.
pub const PROGRAM_CPUS: u32 = 256;
/// Most memory that a program can ask for, in MiB.
pub const PROGRAM_MEMORY: u32 = 1024 * 1024;
/// Most of the disk that a program may have, in bytes, unless the operator has set another.
pub const PROGRAM_DISK_DEFAULT: u64 = 10 * 1024 * 1024 * 1024;
/// Largest disk that a program can ask for, in MiB.
pub const PROGRAM_DISK: u32 = 16 * 1024 * 1024;
/// Longest time that a program can ask for, in seconds.
pub const PROGRAM_SECONDS: u32 = 30 * 24 * 60 * 60;
/// Longest time that the sandbox of a program can be asked to be kept after a failure, in seconds.
pub const PROGRAM_RETENTION: u32 = 7 * 24 * 60 * 60;
/// Longest time of a readiness check, each of its times, in seconds.
pub const READINESS_SECONDS: u32 = 60 * 60;
/// Most failures in a row that a readiness check can ask for.
pub const READINESS_FAILURES: u32 = 100;
/// Most fields of a readiness check that are kept without being known.
pub const READINESS_FIELDS: usize = 16;
/// Most bytes of these fields as JSON.
pub const READINESS_TEXT: usize = 4096;
/// Most bytes of the files of a bundle together, unless the operator sets a lower limit.
pub const BUNDLE: u64 = 8 * 1024 * 1024 * 1024;
/// Most files and links of a bundle, unless the operator sets a lower limit.
pub const BUNDLE_FILES: u64 = 100_000;
/// Most parts of the path of an entry of a bundle.
pub const BUNDLE_DEPTH: usize = 64;
/// Most entries of a manifest, with directories, also those above entries, and what is left out of the bundle.
pub const MANIFEST_ENTRIES: usize = 250_000;
/// Longest manifest of a bundle, in bytes of JSON.
pub const MANIFEST: usize = 64 * 1024 * 1024;
/// Longest entry of a manifest, in bytes of JSON.
pub const MANIFEST_ENTRY: usize = 16 * 1024;
/// Most patterns of each kind in a manifest.
pub const MANIFEST_PATTERNS: usize = 1000;
/// Longest pattern, and reason of an entry, in a manifest, in bytes.
pub const MANIFEST_TEXT: usize = 1024;
/// Longest extended header of a member of an archive, in bytes.
pub const ARCHIVE_HEADER: usize = 16 * 1024;
/// Most bytes of padding at the end of an archive.
pub const ARCHIVE_PADDING: u64 = 1024 * 1024;
