//! Requests to a hosted service through its public URL, beside the same requests to its port, and through nginx.
//!
//! All three ask the same process, which answers from memory. So its own port is what no proxy can reach, and nginx is
//! what a good one does: the same two connections, without a token to check and a service to look up. The CPU time is that
//! of Prism, of the service itself, and of nginx.

use std::{
    future::ready,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Setting,
    turns::{Turns, connections_in_words},
};
use crate::{
    Result,
    baseline::hosted::{LARGE, SMALL},
    client::{Connection, closed_loop, closed_loop::Load, get_openly},
    process::{Guest, Loaded},
    programs::{Programs, free_port, static_server},
    report::Row,
};

/// How long nginx may take to listen.
const READY: Duration = Duration::from_secs(10);

pub(super) async fn measure(setting: &mut Setting<'_>) -> Result<()> {
    let place = setting.place("edge")?;
    let prism = setting.prism.serve_programs(&place)?;
    let programs = Programs::of(&prism, &place)?;
    let port = free_port()?;
    let deployment = programs.deploy(&static_server(port)?).await?;
    let service = programs.start(&deployment).await?;
    let url = deployment.services().url(&service.id).await?.into_inner().public_url.ok_or("it has no URL")?;
    let (root, token) = url.expose().split_once("/?").ok_or("a URL without a query")?;
    let root = root.find("/edge/").map(|at| &root[at..]).ok_or("a URL without a path")?;
    let direct = Guest::at(port).await?;
    let nginx = Nginx::start(&setting.place("nginx")?, port).await?;

    for (what, path, length) in [("100 B", "/small", SMALL), ("1 MiB", "/large", LARGE)] {
        let through = get_openly(&format!("{root}{path}?{token}"));
        let straight = get_openly(path);
        same(&prism, &through, length).await?;
        for (connections, many) in [(setting.options.connections, true), (1, false)] {
            let load = |request: &Vec<u8>| Load {
                requests: Arc::new(vec![request.clone()]),
                status: 200,
                connections,
                duration: setting.options.turn(),
            };
            let (through, straight) = (load(&through), load(&straight));
            let (mut beside_direct, mut beside_nginx) = (Turns::default(), Turns::default());
            for _ in 0..setting.options.pairs {
                let a = closed_loop::run(&prism, &through, ready(Ok(()))).await?;
                let b = closed_loop::run(&direct, &straight, ready(Ok(()))).await?;
                beside_direct.push(a.clone(), b);
                if let Some(nginx) = &nginx {
                    same(&nginx.guest, &straight.requests[0], length).await?;
                    beside_nginx.push(a, closed_loop::run(&nginx.guest, &straight, ready(Ok(()))).await?);
                }
            }
            let what = format!("GET {what} through the edge, {}", connections_in_words(connections));
            let row = Row::new(&what, beside_direct.prism_rate());
            let row = row.baseline(format!("its own port: {}", beside_direct.baseline_rate()));
            let row = row.ratios(&beside_direct.ratios());
            let (goal, most) =
                if length == SMALL { ("CPU ≤ 120 µs", 120.0) } else { ("CPU ≤ 1.5 ms", 1500.0) };
            let met = beside_direct.prism(|turn| turn.cpu) <= most;
            setting.report.row(if many { row.goal(goal, met) } else { row });
            if nginx.is_some() {
                let row =
                    Row::new(what, "the same").baseline(format!("nginx: {}", beside_nginx.baseline_rate()));
                setting.report.row(row.ratios(&beside_nginx.ratios()));
            }
        }
    }
    if nginx.is_none() {
        setting.report.remark("`edge`: nginx is not installed, so there is nothing beside it but the port.");
    }
    programs.remove(deployment, true).await
}

/// Checks that an answer is the whole body.
async fn same(server: &impl Loaded, request: &[u8], length: usize) -> Result<()> {
    let mut connection = Connection::open(server.address()).await?;
    let answer = connection.exchange(request).await?;
    let is_whole =
        answer.status == 200 && answer.body.len() == length && answer.body.iter().all(|&byte| byte == b'x');
    if is_whole {
        Ok(())
    } else {
        Err(format!("answered {} with {} B", answer.status, answer.body.len()).into())
    }
}

impl Guest {
    /// The server of the baseline at this port of the machine.
    async fn at(port: u16) -> Result<Self> {
        let address = ([127, 0, 0, 1], port).into();
        let mut connection = Connection::open(address).await?;
        let answer = connection.exchange(&get_openly("/process")).await?;
        Ok(Self { address, processes: vec![std::str::from_utf8(answer.body)?.parse()?] })
    }
}

/// nginx before the same service, with as many workers as there are cores.
struct Nginx {
    guest: Guest,
    child: Child,
}

impl Nginx {
    /// Starts it; `None` where it is not installed.
    async fn start(place: &Path, upstream: u16) -> Result<Option<Self>> {
        let port = free_port()?;
        let configuration = format!(
            "daemon off; pid nginx.pid; error_log stderr warn; worker_processes auto;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; keepalive_requests 1000000000; proxy_max_temp_file_size 0;\n\
             client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{\n\
             proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
             }} }} }}\n"
        );
        std::fs::write(place.join("nginx.conf"), configuration)?;
        let mut command = Command::new("nginx");
        command.arg("-p").arg(place).args(["-c", "nginx.conf"]).stdin(Stdio::null());
        let child = match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            started => started?,
        };
        let guest = Guest { address: ([127, 0, 0, 1], port).into(), processes: Vec::new() };
        // From here on it is ended whatever happens.
        let mut nginx = Self { guest, child };
        let begun = Instant::now();
        while Connection::open(nginx.guest.address).await.is_err() {
            if begun.elapsed() > READY {
                return Err("nginx does not listen".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let main = nginx.child.id();
        let workers = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children"))?;
        nginx.guest.processes =
            workers.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
        Ok(Some(nginx))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its workers.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
