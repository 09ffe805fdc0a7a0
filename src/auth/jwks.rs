//! A JSON Web Key Set (RFC 7517).

use serde::Deserialize;

use super::key::{Algorithm, Key, KeyError, member};
use super::token::{object, present};

/// Keys of a set at most. Issuers publish two or three.
pub(super) const MAX_KEYS: usize = 64;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Jwk>,
}

/// Members by the names of RFC 7518 6 and RFC 8037 2.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
    /// The private half.
    #[serde(default, deserialize_with = "present")]
    d: bool,
}

pub(super) fn keys(text: &str) -> Result<Vec<Key>, KeyError> {
    let set: Set = object(text.as_bytes()).ok_or(KeyError::NotSet)?;
    if set.keys.len() > MAX_KEYS {
        return Err(KeyError::TooMany);
    }
    let mut keys = Vec::with_capacity(set.keys.len());
    for jwk in set.keys {
        if let Some(algorithm) = jwk.algorithm() {
            keys.push(jwk.key(algorithm)?);
        }
    }
    let nameless = |key: &Key| key.id().is_none();
    for key in keys.iter().filter(|key| nameless(key)) {
        if keys.iter().filter(|other| key.is_namesake(other)).count() > 1 {
            return Err(KeyError::Nameless);
        }
    }
    if keys.is_empty() { Err(KeyError::None) } else { Ok(keys) }
}

impl Jwk {
    /// What the key is for, if that is known here and it is for signatures.
    fn algorithm(&self) -> Option<Algorithm> {
        let algorithm = match (self.kty.as_str(), self.crv.as_deref()) {
            ("oct", _) => Algorithm::Hs256,
            ("RSA", _) => Algorithm::Rs256,
            ("EC", Some("P-256")) => Algorithm::Es256,
            ("OKP", Some("Ed25519")) => Algorithm::EdDsa,
            _ => return None,
        };
        let signs = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        // RFC 9864 3.1 names the curve's algorithm anew.
        let same = |name: &str| {
            name == algorithm.name() || (algorithm == Algorithm::EdDsa && name == "Ed25519")
        };
        (signs && self.alg.as_deref().is_none_or(same)).then_some(algorithm)
    }

    fn key(self, algorithm: Algorithm) -> Result<Key, KeyError> {
        let Self { kid, n, e, x, y, k, d, .. } = self;
        if d {
            return Err(KeyError::Private);
        }
        let key = match algorithm {
            Algorithm::Hs256 => Key::secret(&member(k.as_deref())?),
            Algorithm::Rs256 => Key::rsa(&member(n.as_deref())?, &member(e.as_deref())?),
            Algorithm::Es256 => {
                Key::p256(&[&[4], &*member(x.as_deref())?, &*member(y.as_deref())?].concat())
            }
            Algorithm::EdDsa => Key::ed25519(&member(x.as_deref())?),
        };
        Ok(key?.named(kid))
    }
}
