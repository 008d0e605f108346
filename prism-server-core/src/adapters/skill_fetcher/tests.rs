//! Tests of the fetcher against servers on loopback addresses.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{guard::Rules, *};

/// A server that counts its connections, keeps the heads of its requests, and answers by path.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

enum Answer {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes again and again, once a second of tokio's time.
    Drip(&'static str, &'static str),
    /// These bytes again and again, as fast as they are taken.
    Flood(&'static str, Vec<u8>),
}

impl Server {
    async fn start(address: &str, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counted, kept) = (connections.clone(), requests.clone());
        let task = tokio::spawn(async move {
            let answer = Arc::new(answer);
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (answer, kept) = (answer.clone(), kept.clone());
                tokio::spawn(async move { converse(stream, &*answer, &kept).await });
            }
        });
        Self { address, connections, requests, task }
    }

    /// A server that must not be reached.
    async fn trap() -> Self {
        Self::start("127.0.0.1:0", |_| Answer::Bytes(ok("reached"))).await
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request. A client that goes away early is no failure of the server.
async fn converse(
    mut stream: TcpStream,
    answer: &(impl Fn(&str) -> Answer + Send + Sync),
    kept: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let answer = answer(head.split(' ').nth(1)?);
    kept.lock().ok()?.push(head);
    match answer {
        Answer::Bytes(bytes) => stream.write_all(&bytes).await.ok(),
        Answer::Drip(head, drop) => {
            stream.write_all(head.as_bytes()).await.ok()?;
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            loop {
                seconds.tick().await;
                stream.write_all(drop.as_bytes()).await.ok()?;
            }
        }
        Answer::Flood(head, bytes) => {
            stream.write_all(head.as_bytes()).await.ok()?;
            loop {
                stream.write_all(&bytes).await.ok()?;
            }
        }
    }
}

fn ok(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn redirect(status: u16, location: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\nset-cookie: a=b\r\n");
    format!("{head}content-length: 0\r\n\r\n").into_bytes()
}

/// Answers each look-up with the next of some addresses, the last one again and again.
struct Sequence {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl Sequence {
    fn new(answers: &[&[Ipv4Addr]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.iter().copied().map(IpAddr::V4).collect());
        Arc::new(Self { answers: Mutex::new(answers.collect()), asked: AtomicUsize::new(0) })
    }
}

impl Lookup for Sequence {
    fn lookup(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        async move { next.ok_or_else(|| io::Error::other("no such name")) }.boxed()
    }
}

const PRIVATE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Stands for a public address: a second loopback address that only the rules of a test allow.
const PUBLIC: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The rules of production, but for the ports: a test's server has a port of chance.
fn any_port(lookup: Arc<dyn Lookup>) -> Guard {
    Guard::with_rules(Rules { address: guard::is_public, port: |_| true }, lookup)
}

fn second_loopback_is_public(lookup: Arc<dyn Lookup>) -> Guard {
    Guard::with_rules(Rules { address: |address| address == PUBLIC, port: |_| true }, lookup)
}

/// Fetches `https://skills.example` + path from the server.
async fn fetch_from(server: &Server, path: &str) -> Result<String, FetchError> {
    let builder = GuardedFetcher::builder().guard(any_port(Sequence::new(&[])));
    let fetcher = builder.development_origin("https://skills.example", server.origin()).build().unwrap();
    fetcher.fetch(&format!("https://skills.example{path}")).await
}

#[tokio::test]
async fn attacks_are_refused_without_a_connection() {
    let trap = Server::trap().await;
    let port = trap.address.port();
    let fetcher = GuardedFetcher::builder().guard(any_port(Arc::new(SystemLookup))).build().unwrap();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.0.1.",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "%31%32%37.0.0.1",
        "０x7f.1",
        "0.0.0.0",
        "0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::1]",
        "[::]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.168.1.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "255.255.255.255",
        "224.0.0.1",
        "localhost",
        "LOCALHOST",
    ] {
        let result = fetcher.fetch(&format!("http://{host}:{port}/SKILL.md")).await;
        assert_eq!(result, Err(FetchError::Forbidden), "{host}");
    }
    for url in [
        format!("http://example.com@127.0.0.1:{port}/"),
        format!("http://example.com:80@127.0.0.1:{port}/"),
        format!("http://user:password@127.0.0.1:{port}/"),
        format!("ftp://127.0.0.1:{port}/"),
        format!("gopher://127.0.0.1:{port}/_GET"),
        format!("//127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
        "unix:/run/docker.sock".to_owned(),
        "data:text/plain,hello".to_owned(),
    ] {
        assert_eq!(fetcher.fetch(&url).await, Err(FetchError::InvalidUrl), "{url}");
    }
    // What looks like one host and is another: what follows the last sign is the host.
    for url in
        [format!("http://127.0.0.1:{port}\\@example.com/"), format!("http://127.0.0.1:{port}#@example.com/")]
    {
        assert_eq!(fetcher.fetch(&url).await, Err(FetchError::Forbidden), "{url}");
    }
    let strict = GuardedFetcher::new().unwrap();
    for url in
        [format!("http://8.8.8.8:{port}/"), "http://localhost:80/".into(), "http://localhost:8080/".into()]
    {
        assert_eq!(strict.fetch(&url).await, Err(FetchError::Forbidden), "{url}");
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_never_leads_to_the_private_one() {
    let private = Server::trap().await;
    let port = private.address.port();
    let public = Server::start(&format!("{PUBLIC}:{port}"), |path| match path {
        "/first" => Answer::Bytes(redirect(302, "/second")),
        _ => Answer::Bytes(ok("public")),
    })
    .await;
    let lookup = Sequence::new(&[&[PUBLIC], &[PRIVATE]]);
    let guard = second_loopback_is_public(lookup.clone());
    let fetcher = GuardedFetcher::builder().guard(guard).build().unwrap();
    let url = format!("http://rebinding.example:{port}/first");
    assert_eq!(fetcher.fetch(&url).await, Err(FetchError::Forbidden), "the redirect is looked up again");
    assert_eq!(fetcher.fetch(&url).await, Err(FetchError::Forbidden));
    assert_eq!(lookup.asked.load(Ordering::SeqCst), 3, "every connection has one look-up of its own");
    assert_eq!((public.connections(), private.connections()), (1, 0));

    // A name with both kinds of address is fetched from the public one.
    let guard = second_loopback_is_public(Sequence::new(&[&[PRIVATE, PUBLIC]]));
    let fetcher = GuardedFetcher::builder().guard(guard).build().unwrap();
    assert_eq!(fetcher.fetch(&url).await.as_deref(), Ok("public"));
    assert_eq!(private.connections(), 0);
}

#[tokio::test]
async fn redirects_are_checked_like_any_other_url() {
    let trap = Server::trap().await;
    let private = trap.origin();
    let (address, user) = (trap.address, format!("http://user@{}/", trap.address));
    let server = Server::start("127.0.0.1:0", move |path| {
        Answer::Bytes(match path {
            "/private" => redirect(302, &private.replace("http:", "https:")),
            "/no-scheme" => redirect(302, &format!("//{address}/")),
            "/downgrade" => redirect(301, "http://example.com/"),
            "/to-itself-by-address" => redirect(307, &private),
            "/file" => redirect(302, "file:///etc/passwd"),
            "/user" => redirect(302, &user.replace("http:", "https:")),
            "/mail" => redirect(308, "https://example.com:25/"),
            "/nowhere" => b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n".to_vec(),
            "/broken" => redirect(302, "http://[/"),
            "/not-a-redirect" => redirect(300, "/"),
            _ => ok("reached"),
        })
    })
    .await;
    for (path, error) in [
        ("/private", FetchError::Forbidden),
        ("/no-scheme", FetchError::Forbidden),
        ("/downgrade", FetchError::Forbidden),
        ("/to-itself-by-address", FetchError::Forbidden),
        ("/file", FetchError::InvalidUrl),
        ("/user", FetchError::InvalidUrl),
        ("/nowhere", FetchError::Status(302)),
        ("/broken", FetchError::Status(302)),
        ("/not-a-redirect", FetchError::Status(300)),
    ] {
        assert_eq!(fetch_from(&server, path).await, Err(error), "{path}");
    }
    let fetcher = GuardedFetcher::builder()
        .lookup(Sequence::new(&[]))
        .development_origin("https://skills.example", server.origin())
        .build()
        .unwrap();
    assert_eq!(fetcher.fetch("https://skills.example/mail").await, Err(FetchError::Forbidden));
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_replaced_origin_takes_only_urls_of_the_usual_form() {
    let server = Server::trap().await;
    let builder = GuardedFetcher::builder().guard(any_port(Sequence::new(&[])));
    let fetcher = builder.development_origin("https://skills.example", server.origin()).build().unwrap();
    let long = format!("https://skills.example/{}", "a".repeat(limits::URL));
    for url in ["https://user@skills.example/", "https://:password@skills.example/", &long] {
        assert_eq!(fetcher.fetch(url).await, Err(FetchError::InvalidUrl), "{url}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(fetcher.fetch("https://skills.example/").await.as_deref(), Ok("reached"));
}

#[tokio::test]
async fn three_redirects_are_followed_and_four_are_not() {
    let server = Server::start("127.0.0.1:0", |path| {
        Answer::Bytes(match path.trim_start_matches('/').parse::<u32>() {
            Ok(0) => ok("reached"),
            Ok(more) => redirect(302, &format!("/{}", more - 1)),
            Err(_) => redirect(302, "https://skills.example/loop"),
        })
    })
    .await;
    assert_eq!(fetch_from(&server, "/3").await.as_deref(), Ok("reached"));
    assert_eq!(fetch_from(&server, "/4").await, Err(FetchError::TooManyRedirects(3)));
    let before = server.connections();
    assert_eq!(fetch_from(&server, "/loop").await, Err(FetchError::TooManyRedirects(3)));
    assert_eq!(server.connections() - before, 4);
}

#[tokio::test]
async fn requests_carry_nothing_of_the_gateway() {
    let server = Server::start("127.0.0.1:0", |path| match path {
        "/a?b=c" => Answer::Bytes(redirect(302, "/d")),
        _ => Answer::Bytes(ok("# Skill ü")),
    })
    .await;
    assert_eq!(fetch_from(&server, "/a?b=c#d").await.as_deref(), Ok("# Skill ü"));
    let requests = server.requests.lock().unwrap();
    assert_eq!(requests.len(), 2);
    for request in requests.iter() {
        let mut names: Vec<_> =
            request.lines().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_lowercase())).collect();
        names.sort();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"], "{request}");
        assert!(request.contains(&format!("user-agent: prism/{}\r\n", env!("CARGO_PKG_VERSION"))));
        assert!(request.contains("accept-encoding: identity\r\n"), "{request}");
    }
}

#[tokio::test]
async fn a_body_fits_at_the_limit_and_not_one_byte_past_it() {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let server = Server::start("127.0.0.1:0", |path| {
        let fill = |length: usize| "x".repeat(length);
        let chunked =
            |length: usize| format!("{CHUNKED}{length:x}\r\n{}\r\n0\r\n\r\n", fill(length)).into_bytes();
        Answer::Bytes(match path {
            "/fits" => ok(&fill(limits::SKILL_FILE)),
            "/declared" => ok(&fill(limits::SKILL_FILE + 1)),
            "/chunked-fits" => chunked(limits::SKILL_FILE),
            "/chunked" => chunked(limits::SKILL_FILE + 1),
            "/claimed" => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec(),
            "/endless" => return Answer::Flood(CHUNKED, b"4\r\nxxxx\r\n".repeat(1000)),
            _ => return Answer::Flood("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 8192]),
        })
    })
    .await;
    for path in ["/fits", "/chunked-fits"] {
        assert_eq!(fetch_from(&server, path).await.map(|body| body.len()), Ok(limits::SKILL_FILE), "{path}");
    }
    for path in ["/declared", "/chunked", "/claimed", "/endless", "/endless-without-chunks"] {
        let error = fetch_from(&server, path).await.unwrap_err();
        assert_eq!(error, FetchError::TooLarge(limits::SKILL_FILE), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_is_for_the_whole_answer() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n";
    let server = Server::start("127.0.0.1:0", |path| match path {
        "/body" => Answer::Drip(HEAD, "x"),
        "/head" => Answer::Drip("HTTP/1.1 200 OK\r\n", "x: y\r\n"),
        _ => Answer::Drip("", ""),
    })
    .await;
    for path in ["/body", "/head", "/silence"] {
        let start = tokio::time::Instant::now();
        assert_eq!(fetch_from(&server, path).await, Err(FetchError::TimedOut(10)), "{path}");
        assert_eq!(start.elapsed().as_secs(), 10, "{path}");
    }
    let fetcher = GuardedFetcher::builder()
        .development_origin("https://skills.example", server.origin())
        .time_limit(Duration::from_millis(1500))
        .build()
        .unwrap();
    assert_eq!(fetcher.fetch("https://skills.example/body").await, Err(FetchError::TimedOut(2)));
}

#[tokio::test]
async fn only_status_200_with_text_is_taken() {
    let server = Server::start("127.0.0.1:0", |path| {
        let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 2\r\n\r\nhi").into_bytes();
        Answer::Bytes(match path {
            "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            "/206" => status("206 Partial Content"),
            "/404" => status("404 Not Found"),
            "/500" => status("500 Internal Server Error"),
            "/binary" => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n\xff\xfe".to_vec(),
            "/short" => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi".to_vec(),
            "/nonsense" => b"nonsense\r\n\r\n".to_vec(),
            _ => ok(""),
        })
    })
    .await;
    for status in [204, 206, 404, 500] {
        let error = fetch_from(&server, &format!("/{status}")).await.unwrap_err();
        assert_eq!(error, FetchError::Status(status));
    }
    assert_eq!(fetch_from(&server, "/binary").await, Err(FetchError::NotText));
    assert_eq!(fetch_from(&server, "/short").await, Err(FetchError::Unreachable));
    assert_eq!(fetch_from(&server, "/nonsense").await, Err(FetchError::Unreachable));
    assert_eq!(fetch_from(&server, "/empty").await.as_deref(), Ok(""));
}

#[tokio::test]
async fn hosts_that_do_not_answer_are_unreachable() {
    let closed = Server::trap().await;
    closed.task.abort();
    while !closed.task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fetch_from(&closed, "/").await, Err(FetchError::Unreachable));
    for lookup in [Sequence::new(&[]), Sequence::new(&[&[]])] {
        let fetcher = GuardedFetcher::builder().lookup(lookup).build().unwrap();
        assert_eq!(fetcher.fetch("https://none.example/").await, Err(FetchError::Unreachable));
    }
}

#[test]
fn development_origins_are_checked_when_the_fetcher_is_built() {
    let built =
        |origin: &str, target: &str| GuardedFetcher::builder().development_origin(origin, target).build();
    assert!(built("https://example.com", "http://127.0.0.1:9000").is_ok());
    for (origin, target) in
        [("example.com", "http://127.0.0.1:9000"), ("https://example.com", "http://127.0.0.1:9000/skills")]
    {
        let Err(BuildError::Origin(error)) = built(origin, target) else { panic!("{origin} {target}") };
        assert!(error.to_string().contains("is not an origin"), "{error}");
    }
}
