//! The network: whether nodes find this machine's master, and what they send arrives.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    path::Path,
};

use fleet_agent::doctor::{Finding, multicast, udp_buffers};

use crate::{
    control::{self, Answer, MASTER_PORT, Request},
    data::DataDirectory,
};

pub(super) fn examine(root: &Path) -> Vec<Finding> {
    vec![ports(root), udp_buffers(), multicast()]
}

fn ports(root: &Path) -> Finding {
    const SUBJECT: &str = "ports";
    let serves = DataDirectory::existing(Some(root)).and_then(|data| control::ask(&data.control(), &Request::Snapshot).ok().flatten());
    if let Some(Answer::Snapshot(fleet)) = serves
        && let Some(address) = fleet.listens
    {
        return Finding::good(SUBJECT, format!("the master listens on {address}"));
    }
    match are_free() {
        Ok(()) => Finding::good(SUBJECT, format!("{MASTER_PORT} and {}, UDP and TCP, are free for a master", MASTER_PORT + 1)),
        Err((port, error)) => Finding::weak(
            SUBJECT,
            format!("port {port} cannot be used: {error}"),
            "another program, or the master of another data directory, has it: `bitacora serve --listen [::]:PORT` takes another one",
        ),
    }
}

fn are_free() -> Result<(), (u16, io::Error)> {
    let of = |port| move |error| (port, error);
    [MASTER_PORT, MASTER_PORT + 1].into_iter().try_for_each(|port| {
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(of(port))?;
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).map_err(of(port)).map(drop)
    })
}
