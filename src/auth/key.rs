//! Keys, each with the one algorithm that it is for.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};

use super::token::Header;

/// Bytes of an RSA modulus: 2,048 bits is the least that RFC 7518 3.3 allows.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;
/// Bytes of a coordinate of P-256, and of an Ed25519 key.
const POINT: usize = 32;

/// RFC 7518 3.1 and RFC 8037 3.1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// As a header's `alg` names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Why something is no key. Never holds a part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// A set without a key that can be used.
    #[error("it holds no key for HS256, RS256, ES256 or EdDSA")]
    None,
    /// More keys than are held.
    #[error("it holds more than {} keys", super::jwks::MAX_KEYS)]
    TooMany,
    /// Two with the same algorithm and id.
    #[error("two keys have the same kid and algorithm")]
    Twice,
    /// Several without an id, of which a token could not say which it means.
    #[error("several of its keys for one algorithm have no kid")]
    Nameless,
    /// An empty secret signs for everybody.
    #[error("it is empty")]
    Empty,
    /// RFC 7518 3.3.
    #[error("an RSA key has 2048 to 8192 bits")]
    RsaSize,
    /// RFC 7518 6.2, RFC 8037 2: not the length of a point on the curve.
    #[error("its point has not the length of P-256 or Ed25519")]
    Point,
    /// RFC 7468: no PEM.
    #[error("it is not PEM, which begins with -----BEGIN PUBLIC KEY-----")]
    NotPem,
    /// A private key: the server has no use for it, and should not have it.
    #[error("it holds a private key: give the public half only (openssl pkey -pubout)")]
    Private,
    /// A certificate.
    #[error("it is a certificate: take its public key (openssl x509 -noout -pubkey)")]
    Certificate,
    /// RFC 5280 4.1: no `SubjectPublicKeyInfo` of a kind that is known here.
    #[error("it is not a public key of RSA, P-256 or Ed25519")]
    Kind,
    /// RFC 7517 5: no key set.
    #[error("it is not a JSON object with keys, a list of keys (RFC 7517)")]
    NotSet,
    /// RFC 7518 6: a member that its kind of key needs is missing or no base64url.
    #[error("one of its keys lacks a member of its kind, or has one that is no base64url")]
    Member,
}

/// A key for one algorithm.
#[derive(Clone)]
pub struct Key {
    id: Option<Box<str>>,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Secret(hmac::Key),
    Rsa(RsaPublicKeyComponents<Box<[u8]>>),
    P256(UnparsedPublicKey<Box<[u8]>>),
    Ed25519(UnparsedPublicKey<Box<[u8]>>),
}

impl Key {
    /// For HS256.
    ///
    /// # Errors
    /// It is empty.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.is_empty() {
            return Err(KeyError::Empty);
        }
        Ok(Self::of(Material::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret))))
    }

    /// For RS256, ES256 or `EdDSA`, from a public key in PEM (RFC 7468 13, or the older
    /// `RSA PUBLIC KEY`): it says itself which.
    ///
    /// # Errors
    /// It is none of these.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        super::pem::key(text)
    }

    /// Those of a JSON Web Key Set (RFC 7517) that can be used; keys of other kinds and for other
    /// uses are passed over, as its section 5 asks.
    ///
    /// # Errors
    /// It is no set, has no such key, or one that is broken.
    pub fn from_jwks(text: &str) -> Result<Vec<Self>, KeyError> {
        super::jwks::keys(text)
    }

    /// What it is for.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Rsa(_) => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Its `kid`; `None`: any token of its algorithm may mean it.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
        let n = &modulus[zeros..];
        if !RSA_MODULUS.contains(&n.len()) || exponent.is_empty() {
            return Err(KeyError::RsaSize);
        }
        Ok(Self::of(Material::Rsa(RsaPublicKeyComponents { n: n.into(), e: exponent.into() })))
    }

    /// `point` is uncompressed: 4, x, y (SEC 1 2.3.3).
    pub(super) fn p256(point: &[u8]) -> Result<Self, KeyError> {
        if point.len() != 1 + 2 * POINT || point[0] != 4 {
            return Err(KeyError::Point);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point.into());
        Ok(Self::of(Material::P256(key)))
    }

    pub(super) fn ed25519(point: &[u8]) -> Result<Self, KeyError> {
        if point.len() != POINT {
            return Err(KeyError::Point);
        }
        Ok(Self::of(Material::Ed25519(UnparsedPublicKey::new(&ED25519, point.into()))))
    }

    pub(super) fn named(self, id: Option<String>) -> Self {
        Self { id: id.map(String::into_boxed_str), ..self }
    }

    fn of(material: Material) -> Self {
        Self { id: None, material }
    }

    pub(super) fn is_namesake(&self, other: &Self) -> bool {
        self.id == other.id && self.algorithm() == other.algorithm()
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let outcome = match &self.material {
            Material::Secret(key) => hmac::verify(key, message, signature),
            Material::Rsa(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature),
            Material::P256(key) | Material::Ed25519(key) => key.verify(message, signature),
        };
        outcome.is_ok()
    }
}

/// The keys that a token may mean: of its algorithm, and under its `kid` or without an id. A token
/// without a `kid` means one with an id only where there is no choice. So a token costs few
/// verifications, whoever made it and however many keys there are.
pub(super) fn candidates<'k>(
    keys: &'k [Key],
    header: &'k Header,
) -> impl Iterator<Item = &'k Key> + Clone {
    let fits = move |key: &&Key| key.algorithm().name() == header.alg;
    let sole = keys.iter().filter(fits).take(2).count() == 1;
    keys.iter().filter(fits).filter(move |key| match (&key.id, &header.kid) {
        (None, _) => true,
        (Some(_), None) => sole,
        (Some(id), Some(kid)) => **id == **kid,
    })
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("algorithm", &self.algorithm())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// base64url of a JSON Web Key's member.
pub(super) fn member(text: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let text = text.ok_or(KeyError::Member)?;
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::Member)
}
