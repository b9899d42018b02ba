//! The kinds of frames, their numbers on the wire and what each may weigh.

/// What a frame of a kind that is not known here may weigh; more is taken for an attack and ends the connection.
pub const UNKNOWN_BYTES_MAX: u32 = 1 << 20;

const KIB: u32 = 1 << 10;
const MIB: u32 = 1 << 20;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $bytes_max:expr;)*) => {
        /// What a frame carries. A number that was released is never used for something else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Kind] = &[$(Kind::$name),*];

            pub const fn from_number(number: u8) -> Option<Kind> {
                match number {
                    $($number => Some(Kind::$name),)*
                    _ => None,
                }
            }

            /// What the payload of one frame may weigh.
            pub const fn bytes_max(self) -> u32 {
                match self {
                    $(Kind::$name => $bytes_max,)*
                }
            }
        }
    };
}

kinds! {
    /// First on a control stream, from the side that dialled.
    Hello = 1, 16 * KIB;
    /// The answer to it; from now on the two are connected.
    Welcome = 2, 16 * KIB;
    /// First on a control stream, from a master that dialled: the node is to say Hello.
    Call = 30, KIB;
    /// The answer to what is not permitted or not possible, with the reason.
    Refused = 3, 4 * KIB;
    /// The answer to a kind that is not known.
    Unsupported = 4, KIB;
    /// An envelope from a master: a task names up to some thousand files.
    ToAgent = 5, 4 * MIB;
    /// An envelope from an agent: a result has one summary per file of its task.
    FromAgent = 6, 16 * MIB;
    /// Load, and the attempts that an agent holds.
    Heartbeat = 7, MIB;
    /// The digests of content that a node asks for.
    BlobWanted = 8, MIB;
    /// A part of a blob, as raw bytes: the one payload that is no MessagePack.
    BlobPart = 9, MIB;
    /// The size of a blob that is on its way; parts follow until it is whole. Or that it is not here.
    BlobHead = 12, KIB;
    /// A node has a blob for the other side; it is asked for, or known already.
    BlobOffered = 13, KIB;
    /// A blob that was sent is kept, checked against its name.
    BlobKept = 14, KIB;
    /// A query, and the packs whose symbols are to be looked through.
    NamesWanted = 24, 4 * MIB;
    /// The name of the blob with what was found, which follows.
    NamesFound = 25, KIB;
    /// A token's proof and a certificate signing request.
    JoinRequest = 10, 8 * KIB;
    /// The certificate, and the proof that the master knew the token.
    JoinAnswer = 11, 16 * KIB;
    /// What a node and a master say to one another while they are being paired by a code.
    Pairing = 20, 16 * KIB;
    /// What a person's device asks of a master, on a stream of its own.
    Asked = 26, MIB;
    /// A part of the answer to that; it is whole when the stream ends.
    Answered = 27, MIB;
    /// A node is to look whether its machine lets it do its work.
    Examine = 28, KIB;
    /// What it found.
    Findings = 29, 64 * KIB;
    /// Is there still somebody on this link?
    Ping = 31, KIB;
    /// There is.
    Pong = 32, KIB;
    /// A certificate signing request of a node that has a certificate.
    RenewalRequest = 22, 8 * KIB;
    /// Its next certificate.
    RenewalAnswer = 23, 16 * KIB;
}

impl Kind {
    pub const fn number(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_reads_back_as_its_kind() {
        for &kind in Kind::ALL {
            assert_eq!(Kind::from_number(kind.number()), Some(kind));
        }
        assert_eq!((0..=255).filter_map(Kind::from_number).count(), Kind::ALL.len());
    }
}
