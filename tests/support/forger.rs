//! Records of TLS 1.3 with any content, encrypted with the keys of a session.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::{Connection, ConnectionTrafficSecrets};

/// Makes records in place of one end of a session.
pub(crate) struct Forger {
    /// The sequence number of the next record.
    pub(crate) next: u64,
    key: LessSafeKey,
    iv: [u8; 12],
}

impl Forger {
    /// Takes over from a session with the cipher AES-256, if its config allows that.
    pub(crate) fn new(session: Connection) -> Self {
        let secrets = match session {
            Connection::Client(client) => client.dangerous_extract_secrets(),
            Connection::Server(server) => server.dangerous_extract_secrets(),
        };
        let (next, secrets) = secrets.expect("the config allows it").tx;
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secrets else {
            panic!("it has another cipher");
        };
        let key = UnboundKey::new(&AES_256_GCM, key.as_ref()).expect("a key");
        Self {
            next,
            key: LessSafeKey::new(key),
            iv: iv.as_ref().try_into().expect("a nonce"),
        }
    }

    /// Makes the next record, with content of this type.
    pub(crate) fn record(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, n) in nonce[4..].iter_mut().zip(self.next.to_be_bytes()) {
            *byte ^= n;
        }
        self.next += 1;
        let mut sealed = [content, &[content_type]].concat();
        let length = u16::try_from(sealed.len() + 16).expect("a short record");
        let head = [&[23, 3, 3], &length.to_be_bytes()[..]].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealing = self
            .key
            .seal_in_place_append_tag(nonce, Aad::from(&head[..]), &mut sealed);
        sealing.expect("sealed");
        [head, sealed].concat()
    }
}
