//! Public keys in PEM: RFC 7468 around a `SubjectPublicKeyInfo` (RFC 5280 4.1.2.7).

use spki::der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use spki::der::pem::decode_vec;
use spki::der::{Decode, Reader, SliceReader};
use spki::{SubjectPublicKeyInfoRef, der};

use super::key::{Key, KeyError};

/// RFC 8017 A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 2.1.1: `id-ecPublicKey` with the curve `secp256r1`.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
/// RFC 8410 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

pub(super) fn key(text: &str) -> Result<Key, KeyError> {
    // Files begin and end with white space and comments of whoever made them.
    let begin = text.find("-----BEGIN ").ok_or(KeyError::NotPem)?;
    let (label, content) =
        decode_vec(text[begin..].trim_end().as_bytes()).map_err(|_| KeyError::NotPem)?;
    match label {
        "PUBLIC KEY" => of_info(&content),
        "RSA PUBLIC KEY" => rsa(&content).map_err(|_| KeyError::Kind)?,
        "CERTIFICATE" => Err(KeyError::Certificate),
        label if label.ends_with("PRIVATE KEY") => Err(KeyError::Private),
        _ => Err(KeyError::NotPem),
    }
}

fn of_info(content: &[u8]) -> Result<Key, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(content).map_err(|_| KeyError::Kind)?;
    let bits = info.subject_public_key.as_bytes().ok_or(KeyError::Kind)?;
    let curve = info.algorithm.parameters.map(AnyRef::decode_as::<ObjectIdentifier>);
    match info.algorithm.oid {
        RSA => rsa(bits).map_err(|_| KeyError::Kind)?,
        EC if curve == Some(Ok(P256)) => Key::p256(bits),
        ED25519 => Key::ed25519(bits),
        _ => Err(KeyError::Kind),
    }
}

/// RFC 8017 A.1.1: a sequence of modulus and exponent.
fn rsa(content: &[u8]) -> der::Result<Result<Key, KeyError>> {
    let mut reader = SliceReader::new(content)?;
    let (n, e) = reader.sequence(|inner| -> der::Result<_> {
        Ok((UintRef::decode(inner)?, UintRef::decode(inner)?))
    })?;
    reader.finish()?;
    Ok(Key::rsa(n.as_bytes(), e.as_bytes()))
}
