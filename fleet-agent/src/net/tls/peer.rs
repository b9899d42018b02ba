//! What a certificate says of its node: `<id>.node.bitacora.internal` and `bitacora://node/<id>?roles=worker,…`.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use super::{RENEWAL_GRACE, TlsError, identity::parse_certificate, node_name};
use bitacora_core::ids::NodeId;

const URI_START: &str = "bitacora://node/";
const URI_ROLES: &str = "?roles=";

/// What a node may be permitted to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Master,
    Worker,
    OperatorView,
    OperatorOperate,
    OperatorAdmin,
}

/// A set of roles.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

/// A word that is no role, or roles not in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("roles are named once each, in the order master, worker, operator-view, operator-operate, operator-admin")]
pub struct RolesError;

/// A node, as its verified certificate names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub node: NodeId,
    pub roles: Roles,
    /// From then on it holds.
    pub since: SystemTime,
    /// After this the certificate is refused; renew well before.
    pub expires: SystemTime,
}

impl Peer {
    /// Expired so long ago that it cannot be renewed either.
    pub fn is_void(&self, now: SystemTime) -> bool {
        now.duration_since(self.expires).is_ok_and(|since| since > RENEWAL_GRACE)
    }

    /// A third of the certificate's time is left, or less.
    pub fn is_due(&self, now: SystemTime) -> bool {
        let span = self.expires.duration_since(self.since).unwrap_or_default();
        !self.expires.duration_since(now).is_ok_and(|left| left > span / 3)
    }
}

/// Reads the names in a certificate. This verifies nothing: give it only what TLS has verified.
///
/// Anything but the two names the authority writes, in exactly its spelling, is refused.
pub fn peer(certificate: &CertificateDer<'_>) -> Result<Peer, TlsError> {
    let parsed = parse_certificate(certificate)?;
    let names = parsed.subject_alternative_name().map_err(|_| TlsError::Names)?.ok_or(TlsError::Names)?;
    let [GeneralName::DNSName(dns), GeneralName::URI(uri)] = names.value.general_names.as_slice() else { return Err(TlsError::Names) };
    let (id, roles) = uri.strip_prefix(URI_START).and_then(|rest| rest.split_once(URI_ROLES)).ok_or(TlsError::Names)?;
    let node = NodeId(u64::from_str_radix(id, 16).map_err(|_| TlsError::Names)?);
    let roles: Roles = roles.parse()?;
    if *dns != node_name(node) || *uri != node_uri(node, roles) {
        return Err(TlsError::Names);
    }
    let moment = |seconds: i64| u64::try_from(seconds).map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)).map_err(|_| TlsError::Certificate);
    let validity = parsed.validity();
    Ok(Peer { node, roles, since: moment(validity.not_before.timestamp())?, expires: moment(validity.not_after.timestamp())? })
}

pub(super) fn node_uri(node: NodeId, roles: Roles) -> String {
    format!("{URI_START}{:016x}{URI_ROLES}{roles}", node.0)
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Master, Role::Worker, Role::OperatorView, Role::OperatorOperate, Role::OperatorAdmin];

    pub const fn name(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Worker => "worker",
            Role::OperatorView => "operator-view",
            Role::OperatorOperate => "operator-operate",
            Role::OperatorAdmin => "operator-admin",
        }
    }
}

impl Roles {
    pub const fn contains(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(move |&role| self.contains(role))
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<T: IntoIterator<Item = Role>>(roles: T) -> Roles {
        Roles(roles.into_iter().fold(0, |set, role| set | 1 << role as u8))
    }
}

impl From<Role> for Roles {
    fn from(role: Role) -> Roles {
        Roles(1 << role as u8)
    }
}

/// Names with commas between, in the order of [`Role::ALL`].
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().enumerate().try_for_each(|(index, role)| write!(f, "{}{}", if index > 0 { "," } else { "" }, role.name()))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl FromStr for Roles {
    type Err = RolesError;

    /// At least one name, in the spelling of [`Display`](fmt::Display).
    fn from_str(text: &str) -> Result<Roles, RolesError> {
        let role = |name| Role::ALL.into_iter().find(|role| role.name() == name).ok_or(RolesError);
        let roles = text.split(',').map(role).collect::<Result<Roles, RolesError>>()?;
        if roles.to_string() == text { Ok(roles) } else { Err(RolesError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_back_as_written_and_in_no_other_way() {
        let all: Roles = Role::ALL.into_iter().collect();
        assert_eq!(all.to_string(), "master,worker,operator-view,operator-operate,operator-admin");
        assert_eq!(all.to_string().parse(), Ok(all));
        for text in ["", "root", "worker,", "worker,master", "worker,worker", " worker"] {
            assert_eq!(text.parse::<Roles>(), Err(RolesError), "{text:?}");
        }
    }
}
