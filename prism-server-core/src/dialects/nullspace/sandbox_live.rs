//! `/v1/sandboxes/{sandbox_id}/ws`: channels to sandboxes, over which programs are watched while they run.
//!
//! A channel is a WebSocket. It is opened as any other request is let in, and takes new requests only for a time, so that
//! a key that was revoked is of no use after it. Each program is watched by a task of its own, which waits for the client to
//! take what it was sent; so does the program. When the channel is closed the programs go on.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    extract::{
        FromRequestParts as _, Path, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code},
    },
    response::Response,
};
use futures::{SinkExt as _, StreamExt as _, stream::SplitSink};
use prism_types::{InstanceId, Problem};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{
    Shared, convert,
    error::Answer,
    sandbox_messages::{self as messages, Asked, Decoder, Request},
};
use crate::{
    core::Core,
    domain::{limits, tenant::Principal},
    error::{Error, ErrorKind, Result},
    http::{gate::Call, query::Query, request_id},
    ports::OutputStream,
    service::{
        author::Author,
        machines::live::{self, Channel, Live, Told},
    },
};

/// Most messages that wait for a client: with what is on its way, less than 1 MiB.
const QUEUE: usize = 2;
/// How much of what a client sends is read at once, in bytes: there may be many channels, and most are silent.
const READ_BUFFER: usize = 16 * 1024;
/// How much longer than it may be a message is read all the same, in bytes.
const TOO_MUCH: usize = 1024 * 1024;
/// How long a client may take to close a channel.
const CLOSING: std::time::Duration = std::time::Duration::from_secs(2);

/// Opens a channel.
pub(super) async fn open(
    State(core): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, Answer> {
    let id = convert::sandbox_instance(&id)?;
    let (mut parts, _) = call.request.into_parts();
    let mut query = Query::parse(parts.uri.query());
    let channel = query.word("channel", &["exec", "pty"], |word| word);
    query.finish()?;
    if channel == Some("pty") {
        return Err(Answer(Error::new(ErrorKind::Unsupported, messages::NO_TERMINALS)));
    }
    let place = live::open(&core, &call.principal, &id).await?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|rejection| {
        let rule = format!("must ask for a WebSocket: {rejection}");
        Answer(Error::invalid(vec![Problem::new("header.upgrade", rule)]))
    })?;
    let request_id = parts.headers.get(request_id::HEADER).and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default().to_owned();
    // A frame that is not read to its end has the connection reset, and then nobody learns why it was closed.
    let most = limits::CHANNEL_MESSAGE;
    let upgrade =
        upgrade.max_message_size(most).max_frame_size(most + TOO_MUCH).read_buffer_size(READ_BUFFER);
    let upgrade = upgrade.on_failed_upgrade(|error| tracing::debug!(%error, "a channel was not opened"));
    Ok(upgrade.on_upgrade(move |socket| {
        let tasks = core.tasks.clone();
        let peer = Peer { core, principal: call.principal, id, request_id };
        tasks.track_future(peer.serve(socket, place).in_current_span())
    }))
}

/// Whom a channel belongs to, and what it leads to.
struct Peer {
    core: Arc<Core>,
    principal: Principal,
    id: InstanceId,
    request_id: String,
}

impl Peer {
    /// Serves a channel until either side closes it.
    async fn serve(self, socket: WebSocket, _place: Channel) {
        let (sink, mut incoming) = socket.split();
        let (outgoing, queue) = mpsc::channel(QUEUE);
        let mut writer = AbortOnDropHandle::new(tokio::spawn(write(sink, queue)));
        let mut programs =
            Programs { outgoing: outgoing.clone(), running: JoinSet::new(), ids: BTreeSet::new() };
        let opened = Instant::now();
        let (mut heard, mut busy, mut look) = (opened, opened, opened + limits::CHANNEL_PING);
        let farewell = loop {
            tokio::select! {
                () = self.core.shutdown.cancelled() => break Some(AWAY),
                _ = &mut writer => break None,
                Some(ended) = programs.running.join_next() => {
                    // One that has panicked has told so in the log.
                    if let Ok(id) = ended {
                        programs.ids.remove(&id);
                    }
                    busy = Instant::now();
                }
                message = incoming.next() => {
                    heard = Instant::now();
                    let said = match message {
                        Some(Ok(Message::Text(text))) => text,
                        Some(Ok(Message::Binary(_))) => break Some(NO_TEXT),
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                        Some(Err(error)) if is_too_long(&error) => break Some(TOO_LONG),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
                    };
                    let answered = self.answer(&said, opened, &mut programs);
                    match self.core.shutdown.run_until_cancelled(answered).await {
                        Some(Ok(())) => busy = Instant::now(),
                        Some(Err(Gone)) => break None,
                        None => {}
                    }
                }
                () = sleep_until(look) => {
                    look = Instant::now() + limits::CHANNEL_PING;
                    let is_over = busy.elapsed() >= limits::CHANNEL_IDLE || opened.elapsed() >= limits::CHANNEL_AGE;
                    if programs.running.is_empty() && is_over {
                        break Some(IDLE);
                    }
                    // One that does not take what it is sent is left to the writer.
                    let takes = outgoing.try_send(Message::Ping(Default::default())).is_ok();
                    if takes && heard.elapsed() >= limits::CHANNEL_SILENCE {
                        break None;
                    }
                }
            }
        };
        // They go on.
        programs.running.shutdown().await;
        drop(programs);
        if let Some((code, reason)) = farewell {
            let close = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
            let closed = async {
                outgoing.send(close).await.ok();
                drop(outgoing);
                (&mut writer).await.ok();
                while let Some(Ok(_)) = incoming.next().await {}
            };
            timeout(CLOSING, closed).await.ok();
        }
    }

    /// Does what a client asks for, or says why not.
    async fn answer(&self, text: &str, opened: Instant, programs: &mut Programs) -> Result<(), Gone> {
        let (id, asked) = messages::read(text);
        let refusal = match asked {
            Err(error) => error,
            Ok(_) if opened.elapsed() >= limits::CHANNEL_AGE => {
                let message = format!(
                    "This connection takes no more requests, after {} s. Open another one.",
                    limits::CHANNEL_AGE.as_secs()
                );
                Error::new(ErrorKind::InvalidState, message)
            }
            Ok(asked) if programs.ids.contains(&asked.id) => {
                let rule = "is that of a program which is watched already: send another one";
                Error::invalid(vec![Problem::new("$.id", rule)])
            }
            Ok(_) if programs.ids.len() >= limits::CHANNEL_PROGRAMS => {
                let message = format!(
                    "{} programs are watched over this connection, which is the most. Open another one.",
                    limits::CHANNEL_PROGRAMS
                );
                Error::new(ErrorKind::RateLimited, message)
            }
            Ok(asked) => {
                programs.ids.insert(asked.id.clone());
                let watched = self.watch(asked, programs.outgoing.clone());
                programs.running.spawn(watched.in_current_span());
                return Ok(());
            }
        };
        tell(&programs.outgoing, failed(id.as_deref(), &refusal)).await
    }

    /// Watches a program to its end; the id of what was asked for.
    fn watch(
        &self,
        asked: Asked,
        outgoing: mpsc::Sender<Message>,
    ) -> impl Future<Output = String> + Send + 'static {
        let (core, machine) = (self.core.clone(), self.id.clone());
        let mut author =
            Author::new(self.principal.clone(), "execute_in_sandbox", self.request_id.clone(), None);
        async move {
            let Asked { id, request, fields } = asked;
            let watched = async {
                let live = match request {
                    Request::Start(new) => {
                        author.set_fields(&fields);
                        live::start(&core, &author, &machine, new).await
                    }
                    Request::Follow(pid) => live::follow(&core, &author.principal, &machine, pid).await,
                };
                follow(&id, live?, &outgoing).await;
                Ok::<_, Error>(())
            };
            if let Err(error) = watched.await {
                // Whoever is gone is told nothing.
                tell(&outgoing, failed(Some(&id), &error)).await.ok();
            }
            id
        }
    }
}

/// What is watched over a channel.
struct Programs {
    outgoing: mpsc::Sender<Message>,
    /// Each ends with the id of what was asked for.
    running: JoinSet<String>,
    ids: BTreeSet<String>,
}

/// The client is gone.
#[derive(Debug)]
struct Gone;

/// Why a channel is closed: a status (RFC 6455, section 7.4.1), and a word for people.
type Farewell = (u16, &'static str);
const AWAY: Farewell = (close_code::AWAY, "the server is stopping; what runs goes on");
const IDLE: Farewell = (close_code::NORMAL, "nothing is watched over this connection");
const NO_TEXT: Farewell = (close_code::UNSUPPORTED, "messages are JSON, in text");
const TOO_LONG: Farewell = (close_code::SIZE, "the message is too long");

/// Tells what a program writes, and its end.
async fn follow(id: &str, mut live: Live, outgoing: &mpsc::Sender<Message>) {
    let mut decoders = [Decoder::default(), Decoder::default()];
    let decoder = |stream| match stream {
        OutputStream::Out => 0,
        OutputStream::Error => 1,
    };
    let mut texts = vec![messages::started(id, live.pid)];
    let mut is_over = false;
    loop {
        for text in texts.drain(..) {
            if let Err(Gone) = tell(outgoing, text).await {
                return;
            }
        }
        if is_over {
            return;
        }
        let told = live.next().await;
        if let Ok(Told::Wrote(stream, bytes)) = told {
            let parts = decoders[decoder(stream)].take(&bytes);
            texts.extend(parts.iter().map(|part| messages::wrote(id, stream, part)));
            continue;
        }
        for stream in [OutputStream::Out, OutputStream::Error] {
            let rest = decoders[decoder(stream)].rest();
            texts.extend(rest.iter().map(|part| messages::wrote(id, stream, part)));
        }
        texts.push(match told {
            Ok(Told::Ended(code)) => messages::ended(id, code),
            Err(error) => failed(Some(id), &error),
            Ok(Told::Wrote(..)) => return,
        });
        is_over = true;
    }
}

/// What is told of an error, which is logged on its way out.
fn failed(id: Option<&str>, error: &Error) -> String {
    match error.kind() {
        ErrorKind::Internal => tracing::error!(%error, "a program is not watched"),
        _ => tracing::debug!(%error, "a program is not watched"),
    }
    messages::failed(id, error)
}

async fn tell(outgoing: &mpsc::Sender<Message>, text: String) -> Result<(), Gone> {
    outgoing.send(Message::Text(text.into())).await.map_err(|_| Gone)
}

/// Sends what there is to send, until there is nothing more, or the client takes nothing for too long.
async fn write(mut sink: SplitSink<WebSocket, Message>, mut queue: mpsc::Receiver<Message>) {
    while let Some(message) = queue.recv().await {
        let is_last = matches!(message, Message::Close(_));
        match timeout(limits::CHANNEL_STALL, sink.send(message)).await {
            Ok(Ok(())) if !is_last => {}
            Ok(_) => return,
            Err(_) => return tracing::debug!("a channel is given up: its client takes nothing"),
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    error.to_string().contains("too long")
}
