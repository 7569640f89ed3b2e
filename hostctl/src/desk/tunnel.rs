//! Tunnels to the API of a host's container engine, from a Unix socket of this computer.

use super::{
    Desk, DeskError,
    connection::{failed, is_whole, request, verdict},
};
use berth_contract::remote_api::{ENGINE_PATH, ENGINE_PROTOCOL};
use std::{
    io,
    path::{Path, PathBuf},
    rc::Rc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpStream, UnixListener, UnixStream},
    runtime::{Builder, Runtime},
    task::{LocalSet, spawn_local},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A socket of this computer whose connections lead to the engine of a host. The file is removed when the value is dropped.
#[derive(Debug)]
pub struct Tunnels {
    runtime: Runtime,
    listener: UnixListener,
    path: PathBuf,
    desk: Desk,
}

impl Tunnels {
    /// Makes the socket, and checks that the host opens a tunnel.
    ///
    /// # Errors
    /// The socket cannot be made, or the host cannot be reached or refuses the tunnel.
    pub fn open(desk: Desk, path: &Path) -> Result<Self, DeskError> {
        let here = |source| DeskError::Folder { path: path.to_owned(), source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(here)?;
        runtime.block_on(tunnel(&desk)).map(drop)?;
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(path).map_err(here)?
        };
        Ok(Self { runtime, listener, path: path.to_owned(), desk })
    }

    /// Serves connections until `end` is done. A connection that fails is reported to `report`.
    ///
    /// # Errors
    /// The socket cannot be used any more.
    pub fn serve<T>(&self, end: impl Future<Output = T>, report: impl Fn(&DeskError) + 'static) -> io::Result<T> {
        let report = Rc::new(report);
        LocalSet::new().block_on(&self.runtime, async {
            tokio::pin!(end);
            loop {
                let client = tokio::select! {
                    done = &mut end => return Ok(done),
                    accepted = self.listener.accept() => accepted?.0,
                };
                let (desk, report) = (self.desk.clone(), Rc::clone(&report));
                spawn_local(async move {
                    if let Err(error) = carry(&desk, client).await {
                        report(&error);
                    }
                });
            }
        })
    }
}

impl Drop for Tunnels {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn carry(desk: &Desk, mut client: UnixStream) -> Result<(), DeskError> {
    let mut host = tunnel(desk).await?;
    // An error means that one of the two sides has gone, which ends the connection.
    let _ = copy_bidirectional(&mut client, &mut host).await;
    Ok(())
}

async fn tunnel(desk: &Desk) -> Result<TlsStream<TcpStream>, DeskError> {
    let failed = |source| failed(&desk.address, source);
    let tcp = TcpStream::connect((desk.address.host.as_str(), desk.address.port)).await.map_err(failed)?;
    tcp.set_nodelay(true).map_err(failed)?;
    let mut stream = TlsConnector::from(desk.config.clone()).connect(desk.name.clone(), tcp).await.map_err(failed)?;
    stream.write_all(request(&desk.address, ENGINE_PATH, ENGINE_PROTOCOL).as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !is_whole(&answer) && stream.read(&mut byte).await.map_err(failed)? > 0 {
        answer.push(byte[0]);
    }
    verdict(&desk.address, &answer)?;
    Ok(stream)
}
