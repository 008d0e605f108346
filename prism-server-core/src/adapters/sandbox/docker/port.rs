//! Reaching a port of a container that has no network: the gateway enters its name space.
//!
//! A thread of its own does that, since the name space is the thread's, and ends with the connection, which stays in the
//! name space where it was made. There is no port on the machine, and nothing that another container could reach.
//!
//! A name space that was entered is kept open, so that the engine is not asked for each connection. When its container is
//! gone nothing listens in it, and then the engine is asked.

use std::{
    collections::HashMap,
    fs::File,
    sync::{Arc, Mutex, PoisonError},
};

use prism_types::InstanceId;

use crate::ports::{Connection, SandboxError};

use super::engine::{Container, Engine};

/// Most name spaces that are kept open.
const MOST: usize = 1024;

/// The name spaces that were entered lately, by sandbox.
#[derive(Default)]
pub(super) struct Networks(Mutex<HashMap<InstanceId, Arc<File>>>);

impl Networks {
    pub(super) fn forget(&self, id: &InstanceId) {
        self.all(|all| all.remove(id));
    }

    fn get(&self, id: &InstanceId) -> Option<Arc<File>> {
        self.all(|all| all.get(id).cloned())
    }

    fn keep(&self, id: &InstanceId, network: Arc<File>) {
        self.all(|all| {
            if all.len() >= MOST {
                all.clear();
            }
            all.insert(id.clone(), network);
        });
    }

    /// No change is left half done, so a panic elsewhere is no reason to stop.
    fn all<T>(&self, look: impl FnOnce(&mut HashMap<InstanceId, Arc<File>>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(not(target_os = "linux"))]
mod linux {
    use super::*;

    pub(super) async fn open(_: &Engine, _: &Container) -> Result<File, SandboxError> {
        let text = "ports of sandboxes of type `docker` are reached on Linux alone: run the gateway there";
        Err(SandboxError::Unavailable(text.to_owned()))
    }

    pub(super) async fn connect(_: Arc<File>, port: u16) -> Result<Box<dyn Connection>, SandboxError> {
        Err(SandboxError::Refused(port))
    }
}

/// Connects within a name space that was entered before; `None` when there is none, or nothing listens in it.
pub(super) async fn connect_again(
    networks: &Networks,
    id: &InstanceId,
    port: u16,
) -> Option<Box<dyn Connection>> {
    let connected = linux::connect(networks.get(id)?, port).await;
    if connected.is_err() {
        networks.forget(id);
    }
    connected.ok()
}

/// Enters the network of a container and connects there.
pub(super) async fn connect(
    networks: &Networks,
    engine: &Engine,
    (id, container): (&InstanceId, &Container),
    port: u16,
) -> Result<Box<dyn Connection>, SandboxError> {
    let network = Arc::new(linux::open(engine, container).await?);
    let connection = linux::connect(network.clone(), port).await?;
    networks.keep(id, network);
    Ok(connection)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        fs::{self, File},
        io,
        net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
        os::fd::AsFd,
        sync::Arc,
        thread,
        time::Duration,
    };

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
    use tokio::{sync::oneshot, task::spawn_blocking};

    use super::{Connection, Container, Engine, SandboxError};

    /// How long whatever listens may take to accept a connection.
    const CONNECT: Duration = Duration::from_secs(10);

    /// The network of a container that runs.
    pub(super) async fn open(engine: &Engine, container: &Container) -> Result<File, SandboxError> {
        let (Some(pid), id) = (container.pid, container.id.clone()) else {
            return Err(SandboxError::Gone);
        };
        let opened = spawn_blocking(move || namespace(pid, &id)).await;
        let opened = opened.unwrap_or_else(|error| Err(io::Error::other(error)));
        // The number may have become another process's before it was opened; not if it is still the container's.
        let now = engine.container(&container.id).await?;
        if now.is_none_or(|now| !now.running || now.pid != container.pid) {
            return Err(SandboxError::Gone);
        }
        opened.map_err(|error| unavailable(&error))
    }

    pub(super) async fn connect(
        namespace: Arc<File>,
        port: u16,
    ) -> Result<Box<dyn Connection>, SandboxError> {
        let (sender, receiver) = oneshot::channel();
        let connecting = move || {
            // Nobody waits any more: then it is closed.
            drop(sender.send(connect_within(&namespace, port)));
        };
        let thread = thread::Builder::new().name("prism-connect".to_owned()).spawn(connecting);
        thread.map_err(|error| failed(port, &error))?;
        let connected = receiver.await.unwrap_or_else(|error| Err(failed(port, &error)))?;
        let connection = tokio::net::TcpStream::from_std(connected).map_err(|error| failed(port, &error))?;
        Ok(Box::new(connection))
    }

    /// The network of a process that is one of the container.
    fn namespace(pid: i64, container: &str) -> io::Result<File> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        if !groups.contains(container) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process is none of the container"));
        }
        File::open(format!("/proc/{pid}/ns/net"))
    }

    fn connect_within(namespace: &File, port: u16) -> Result<TcpStream, SandboxError> {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|error| unavailable(&error.into()))?;
        let connect = |address: IpAddr| TcpStream::connect_timeout(&SocketAddr::new(address, port), CONNECT);
        let connected = connect(Ipv4Addr::LOCALHOST.into()).or_else(|error| match error.kind() {
            // Some listen by the newer protocol alone.
            io::ErrorKind::ConnectionRefused => connect(Ipv6Addr::LOCALHOST.into()).map_err(|_| error),
            _ => Err(error),
        });
        let connection = connected.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => SandboxError::Refused(port),
            _ => failed(port, &error),
        })?;
        let ready = connection.set_nonblocking(true).and_then(|()| connection.set_nodelay(true));
        ready.map(|()| connection).map_err(|error| failed(port, &error))
    }

    fn failed(port: u16, error: &dyn std::fmt::Display) -> SandboxError {
        SandboxError::Failed(format!("port {port} does not answer: {error}"))
    }

    fn unavailable(error: &io::Error) -> SandboxError {
        SandboxError::Unavailable(match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "the gateway may not enter the network of a container: run it as root, \
                 or with the capabilities CAP_SYS_ADMIN and CAP_SYS_PTRACE"
                    .to_owned()
            }
            io::ErrorKind::NotFound => {
                "the gateway does not see the processes of the Docker Engine: run both on one \
                 machine, and the gateway in no container of its own, or in one with `--pid host`"
                    .to_owned()
            }
            _ => format!("the network of a container cannot be entered: {error}"),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_process_that_is_none_of_the_container_is_not_entered() {
            let own = i64::from(std::process::id());
            for pid in [own, i64::MAX] {
                let refused = namespace(pid, &"0123456789abcdef".repeat(4)).unwrap_err();
                assert_eq!(refused.kind(), io::ErrorKind::NotFound);
            }
            let text = unavailable(&io::ErrorKind::PermissionDenied.into()).to_string();
            assert!(text.contains("run it as root"), "{text}");
        }
    }
}
