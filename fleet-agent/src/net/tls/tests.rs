//! Handshakes over TCP on loopback: who is let in and who is not. Other modules borrow the fleet made here.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, SystemTime},
};

use rustls::{AlertDescription, CertificateError, ClientConnection, ServerConnection, StreamOwned};

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn today() -> Validity {
    Validity { not_before: SystemTime::now() - HOUR, span: 2 * HOUR }
}

fn yesterday() -> Validity {
    Validity { not_before: SystemTime::now() - 25 * HOUR, span: HOUR }
}

pub(crate) fn authority() -> Authority {
    Authority::create("fleet of the tests", today()).unwrap()
}

pub(crate) fn identity(authority: &Authority, node: u64, role: Role) -> Identity {
    identity_for(authority, node, role, today())
}

/// One whose certificate has expired.
pub(crate) fn yesterdays(authority: &Authority, node: u64, role: Role) -> Identity {
    identity_for(authority, node, role, yesterday())
}

fn identity_for(authority: &Authority, node: u64, role: Role, validity: Validity) -> Identity {
    let key = NodeKey::generate().unwrap();
    let certificate = authority.sign(&key.request().unwrap(), NodeId(node), role.into(), validity).unwrap();
    Identity::new(key, certificate, authority.certificate().clone()).unwrap()
}

/// What the client and the server see when the one sends a byte and the other returns it.
fn meet(client: ClientConfig, server: ServerConfig, expected: u64) -> (Result<(), std::io::Error>, Result<Peer, std::io::Error>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let connection = ServerConnection::new(Arc::new(server)).unwrap();
        let mut stream = StreamOwned::new(connection, listener.accept().unwrap().0);
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
        Ok(peer(&stream.conn.peer_certificates().unwrap()[0]).unwrap())
    });
    let connection = ClientConnection::new(Arc::new(client), server_name(NodeId(expected))).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    // A refused client may well get its byte off: in TLS 1.3 only the read tells.
    let seen = stream.write_all(&[7]).and_then(|()| stream.read_exact(&mut [0]));
    drop(stream);
    (seen, server.join().unwrap())
}

fn tls_error(error: &std::io::Error) -> &rustls::Error {
    error.get_ref().and_then(|error| error.downcast_ref()).unwrap_or_else(|| panic!("not from TLS: {error:?}"))
}

#[test]
fn nodes_of_one_authority_meet() {
    let authority = authority();
    let (near, far) = (identity(&authority, 1, Role::Master), identity(&authority, 2, Role::Worker));
    let (client, server) = meet(client_config(&near).unwrap(), server_config(&far).unwrap(), 2);
    client.unwrap();
    let peer = server.unwrap();
    assert_eq!((peer.node, peer.roles), (NodeId(1), Role::Master.into()));
}

#[test]
fn client_of_another_authority_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let far = identity(&ours, 2, Role::Worker);
    // Knows our authority, so that it is the server that has to refuse.
    let stranger = client_config(&identity(&theirs, 1, Role::Master)).unwrap();
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).unwrap();
    let builder = builder.with_root_certificates(roots(ours.certificate()).unwrap());
    let mut client = builder.with_client_cert_resolver(stranger.client_auth_cert_resolver);
    client.alpn_protocols = vec![ALPN.to_vec()];
    let (client, server) = meet(client, server_config(&far).unwrap(), 2);
    // By subject the two authorities are one; the signature tells them apart.
    assert!(matches!(tls_error(&server.unwrap_err()), rustls::Error::InvalidCertificate(_)));
    assert!(matches!(tls_error(&client.unwrap_err()), rustls::Error::AlertReceived(_)));
}

#[test]
fn server_of_another_authority_is_refused() {
    let near = identity(&authority(), 1, Role::Master);
    let far = identity(&authority(), 2, Role::Worker);
    let (client, server) = meet(client_config(&near).unwrap(), server_config(&far).unwrap(), 2);
    assert!(matches!(tls_error(&client.unwrap_err()), rustls::Error::InvalidCertificate(_)));
    assert!(server.is_err());
}

#[test]
fn client_without_certificate_is_refused() {
    let authority = authority();
    let far = identity(&authority, 2, Role::Worker);
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).unwrap();
    let mut client = builder.with_root_certificates(roots(authority.certificate()).unwrap()).with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    let (client, server) = meet(client, server_config(&far).unwrap(), 2);
    assert!(matches!(tls_error(&server.unwrap_err()), rustls::Error::NoCertificatesPresented));
    assert!(matches!(tls_error(&client.unwrap_err()), rustls::Error::AlertReceived(AlertDescription::CertificateRequired)));
}

#[test]
fn expired_certificate_is_refused_on_either_side() {
    let authority = authority();
    let (fresh, stale) = (identity(&authority, 1, Role::Master), identity_for(&authority, 1, Role::Master, yesterday()));
    let (client, server) = meet(client_config(&stale).unwrap(), server_config(&fresh).unwrap(), 1);
    let expired =
        |error: &rustls::Error| matches!(error, rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }));
    assert!(expired(tls_error(&server.unwrap_err())));
    assert!(matches!(tls_error(&client.unwrap_err()), rustls::Error::AlertReceived(AlertDescription::CertificateExpired)));
    let (client, server) = meet(client_config(&fresh).unwrap(), server_config(&stale).unwrap(), 1);
    assert!(expired(tls_error(&client.unwrap_err())));
    assert!(server.is_err());
}

#[test]
fn another_node_than_the_expected_one_is_refused() {
    let authority = authority();
    let (near, far) = (identity(&authority, 1, Role::Master), identity(&authority, 2, Role::Worker));
    let (client, _) = meet(client_config(&near).unwrap(), server_config(&far).unwrap(), 3);
    let error = client.unwrap_err();
    assert!(
        matches!(tls_error(&error), rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })),
        "{error:?}"
    );
}

#[test]
fn another_application_protocol_is_refused() {
    let authority = authority();
    let (near, far) = (identity(&authority, 1, Role::Master), identity(&authority, 2, Role::Worker));
    let mut client = client_config(&near).unwrap();
    client.alpn_protocols = vec![b"bitacora/2".to_vec()];
    let (client, server) = meet(client, server_config(&far).unwrap(), 2);
    assert!(matches!(tls_error(&server.unwrap_err()), rustls::Error::NoApplicationProtocol));
    assert!(client.is_err());
}

#[test]
fn reloaded_authority_signs_for_the_same_fleet() {
    let authority = authority();
    let again = Authority::from_pem(&authority.to_pem()).unwrap();
    assert_eq!(authority.fingerprint(), again.fingerprint());
    let (near, far) = (identity(&authority, 1, Role::Master), identity(&again, 2, Role::Worker));
    let (client, server) = meet(client_config(&near).unwrap(), server_config(&far).unwrap(), 2);
    client.unwrap();
    server.unwrap();
}

#[test]
fn renewed_certificate_has_another_serial_number() {
    let authority = authority();
    let request = NodeKey::generate().unwrap().request().unwrap();
    let serial = || {
        let certificate = authority.sign(&request, NodeId(1), Role::Worker.into(), today()).unwrap();
        identity::parse_certificate(&certificate).unwrap().serial.clone()
    };
    assert_ne!(serial(), serial());
}

#[test]
fn request_that_was_tampered_with_is_not_signed() {
    let mut request = NodeKey::generate().unwrap().request().unwrap().to_vec();
    *request.last_mut().unwrap() ^= 1;
    assert!(matches!(authority().sign(&request.into(), NodeId(1), Role::Worker.into(), today()), Err(TlsError::Request(_))));
}

#[test]
fn identity_of_parts_that_do_not_belong_together_is_refused() {
    let authority = authority();
    let (key, other) = (NodeKey::generate().unwrap(), NodeKey::generate().unwrap());
    let certificate = authority.sign(&key.request().unwrap(), NodeId(1), Role::Worker.into(), today()).unwrap();
    assert!(matches!(Identity::new(other, certificate.clone(), authority.certificate().clone()), Err(TlsError::KeyMismatch)));
    let foreign = Authority::create("fleet of the tests", today()).unwrap();
    assert!(matches!(Identity::new(key, certificate, foreign.certificate().clone()), Err(TlsError::ForeignAuthority)));
}

#[test]
fn identity_survives_its_file_which_only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("node");
    let identity = identity(&authority(), 9, Role::Worker);
    identity.save(&place).unwrap();
    identity.save(&place).unwrap();
    let file = place.join("identity.pem");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&place).unwrap().count(), 1);
    assert_eq!(Identity::load(&place).unwrap().peer(), identity.peer());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(Identity::load(&place), Err(TlsError::Exposed { mode: 0o640, .. })));
}

#[test]
fn nothing_prints_a_private_key() {
    let authority = authority();
    let shown = format!("{authority:?} {:?}", identity(&authority, 1, Role::Worker));
    assert!(!shown.contains("key"), "{shown}");
}
