//! A master elsewhere behind a socket on this machine: whoever asks the socket asks over the one link that its owner has.
//!
//! For a dashboard and the commands that it runs: none of them has to dial, or to hold the device's key.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use fleet_agent::work::with_cause;

use super::{
    Answer, Asked, ControlSocket, Request,
    remote::{Device, Remote, RemoteError},
};

/// Answers until it is dropped.
pub struct Relay {
    _socket: ControlSocket,
}

/// The way to a master elsewhere: dialled when somebody asks, and again once it was lost.
pub struct Line {
    device: Device,
    remote: Mutex<Option<Arc<Remote>>>,
}

impl Relay {
    pub fn start(path: &Path, line: Line) -> io::Result<Relay> {
        let line = Arc::new(line);
        let socket = ControlSocket::listen(path, move |Asked { request, answer, .. }| {
            // Whoever asked may be gone.
            let _ = answer.send(line.ask(&request).unwrap_or_else(|error| Answer::Refused(with_cause(&error))));
        })?;
        // Whoever asks is this dashboard, or a command that ends with it.
        Ok(Relay { _socket: socket.without_last_words() })
    }
}

impl Line {
    pub fn to(device: Device) -> Line {
        Line { device, remote: Mutex::new(None) }
    }

    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Dials, if nobody has asked before.
    pub fn connect(&self) -> Result<(), RemoteError> {
        self.remote().map(drop)
    }

    pub fn ask(&self, request: &Request) -> Result<Answer, RemoteError> {
        let remote = self.remote()?;
        let answer = remote.ask(request);
        if matches!(&answer, Err(error) if error.is_about_reach()) {
            self.hang_up(&remote);
        }
        answer
    }

    fn remote(&self) -> Result<Arc<Remote>, RemoteError> {
        let mut known = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(remote) = &*known {
            return Ok(Arc::clone(remote));
        }
        let remote = Arc::new(Remote::connect(&self.device)?);
        *known = Some(Arc::clone(&remote));
        Ok(remote)
    }

    /// Unless somebody has dialled again meanwhile.
    fn hang_up(&self, lost: &Arc<Remote>) {
        let mut known = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, lost)) {
            *known = None;
        }
    }
}
