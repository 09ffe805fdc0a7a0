//! Tokens as RFC 7515 and independent libraries made them, and as an attacker would.

#![allow(clippy::unwrap_used)]

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;

use super::*;

/// RFC 7515 A.1 to A.3 sign this: joe, until the second 1300819380.
const JOE: &str = concat!(
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290",
    "Ijp0cnVlfQ",
);
const JOE_ENDS: u64 = 1_300_819_380;
/// RFC 7515 A.1: header, signature, key.
const HS256: (&str, &str) =
    ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
const HS256_KEY: &str = r#"{"kty":"oct",
    "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
/// RFC 7515 A.2.
const RS256: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiJ9",
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5\
     jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb\
     1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QO\
     YEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);
const RS256_KEY: &str = concat!(
    "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbj",
    "i9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOW",
    "vG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTB",
    "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_",
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\"}",
);
const RS256_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
oQIDAQAB
-----END PUBLIC KEY-----
";
/// The same key as RFC 8017 A.1.1 writes it.
const RS256_PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd/wWJcyQoTbji9k0l8W2
6mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMs
D1W/YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5
z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxv
b3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxXFvUK+DWNmoudF8NAco9/h9iaGNj8q2et
hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQIDAQAB
-----END RSA PUBLIC KEY-----
";
/// RFC 7515 A.3.
const ES256: (&str, &str) = (
    "eyJhbGciOiJFUzI1NiJ9",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);
const ES256_KEY: &str = concat!(
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVE",
    "U\",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
);
const ES256_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
";
/// Signed with the key of RFC 8037 A.1 by another library: `{"iss":"joe","exp":1300819380}`.
const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJqb2UiLCJleHAiOjEzMDA4MTkzODB9.QJzJecKs27DYlOI8\
                     iOIpZ_lPlRkanJJe0StuTJhUjPpobhtnPThTlvGHvXUdOeaPneTDsJPj3RI_aCGkC_4tCg";
const EDDSA_KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const EDDSA_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";
const P384_PEM: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEdIwIHkY2m5sbjQvv6lD65zAy0IjZkJRz
O4RH6pF5gTONI/JN5orWY9Z9b64nNWZ9yiWv630AjuMX7hjP5XJpg1qWa5U7Pskh
iwvGOVO+bd9QvnYazF7gpMxhw7odu86r
-----END PUBLIC KEY-----
";
const RSA_1024_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDVZRd/zkr/EV62O3wccrxZ2R2V
p3C/jMgDe9CVH941Gm7C9jt/Wcuiot7f7u6H24BmEO3hajClkr/vl59KkZPG540a
nv4+7MnJqdU6hFxMrj8QlUCl5fm7PtXE7jR8kK34L4EHNKFAfm/y7UpNtbaqI/CL
cBQUryuRZJAMtwVjrwIDAQAB
-----END PUBLIC KEY-----
";

const SECRET: &[u8] = b"a secret of this test, not short";
const NOW: u64 = 1_000_000;

fn rules() -> Rules {
    Rules { max_token: 4096, leeway_s: 60, audience: None, issuer: None }
}

fn verifier(keys: Vec<Key>) -> Verifier {
    Verifier::new(keys, rules()).unwrap()
}

fn set(keys: &[&str]) -> Result<Vec<Key>, KeyError> {
    Key::from_jwks(&format!(r#"{{"keys":[{}]}}"#, keys.join(",")))
}

fn joes((header, signature): (&str, &str)) -> String {
    format!("{header}.{JOE}.{signature}")
}

fn sign(secret: &[u8], header: &str, payload: &str) -> String {
    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let message = format!("{}.{}", encode(header.as_bytes()), encode(payload.as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encode(tag.as_ref()))
}

fn token(payload: &str) -> String {
    sign(SECRET, r#"{"alg":"HS256","typ":"JWT"}"#, payload)
}

fn connection(payload: &str) -> Result<ConnectionClaims, TokenError> {
    verifier(vec![Key::secret(SECRET).unwrap()]).connection(&token(payload), NOW)
}

fn subscription(payload: &str) -> Result<SubscriptionClaims, TokenError> {
    verifier(vec![Key::secret(SECRET).unwrap()]).subscription(&token(payload), NOW)
}

const fn invalid<T>(fault: Fault) -> Result<T, TokenError> {
    Err(TokenError::Invalid(fault))
}

/// Every algorithm: its token, and its key in each form that it comes in.
fn vectors() -> Vec<(Algorithm, String, Vec<Key>)> {
    let one = |jwk: &str| set(&[jwk]).unwrap().remove(0);
    let pem = |text: &str| Key::from_pem(text).unwrap();
    vec![
        (Algorithm::Hs256, joes(HS256), vec![one(HS256_KEY)]),
        (Algorithm::Rs256, joes(RS256), vec![one(RS256_KEY), pem(RS256_PEM), pem(RS256_PKCS1)]),
        (Algorithm::Es256, joes(ES256), vec![one(ES256_KEY), pem(ES256_PEM)]),
        (Algorithm::EdDsa, EDDSA.to_owned(), vec![one(EDDSA_KEY), pem(EDDSA_PEM)]),
    ]
}

#[test]
fn each_algorithm_takes_its_published_vector_and_no_other_content() {
    for (algorithm, token, keys) in vectors() {
        for key in keys {
            assert_eq!(key.algorithm(), algorithm);
            let verifier = verifier(vec![key]);
            let claims = verifier.connection(&token, JOE_ENDS - 1).unwrap();
            assert_eq!(
                (claims.user.as_str(), claims.expires),
                ("", Some(JOE_ENDS)),
                "{algorithm:?}"
            );
            assert_eq!(verifier.connection(&token, JOE_ENDS), Err(TokenError::Expired));
            // Another signature, another payload, another header of the same meaning.
            let (message, signature) = token.rsplit_once('.').unwrap();
            let flipped = signature.replacen(
                &signature[5..6],
                if &signature[5..6] == "A" { "B" } else { "A" },
                1,
            );
            let bad = format!("{message}.{flipped}");
            assert_eq!(verifier.connection(&bad, 0), invalid(Fault::Signature), "{algorithm:?}");
            let (header, _) = message.split_once('.').unwrap();
            let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"joe"}"#);
            let bad = format!("{header}.{payload}.{signature}");
            assert_eq!(verifier.connection(&bad, 0), invalid(Fault::Signature), "{algorithm:?}");
            let spaced = format!(r#"{{ "alg":"{}" }}"#, algorithm.name());
            let spaced = BASE64_URL_SAFE_NO_PAD.encode(spaced);
            let bad = format!("{spaced}.{}", token.split_once('.').unwrap().1);
            assert_eq!(verifier.connection(&bad, 0), invalid(Fault::Signature), "{algorithm:?}");
        }
    }
}

#[test]
fn a_token_cut_anywhere_is_refused() {
    for (algorithm, token, mut keys) in vectors() {
        let verifier = verifier(vec![keys.remove(0)]);
        for end in 0..token.len() {
            let outcome = verifier.connection(&token[..end], 0);
            assert!(matches!(outcome, Err(TokenError::Invalid(_))), "{algorithm:?} {end}");
        }
        for extended in [format!("{token}A"), format!("{token}."), format!("{token}=")] {
            assert!(verifier.connection(&extended, 0).is_err(), "{algorithm:?}");
        }
    }
}

/// A public key is public: as a secret it would let anybody sign.
#[test]
fn a_key_serves_its_own_algorithm_only() {
    let everything = |alg: &str| format!(r#"{{"alg":"{alg}"}}"#);
    for pem in [RS256_PEM, ES256_PEM, EDDSA_PEM] {
        let verifier = verifier(vec![Key::from_pem(pem).unwrap()]);
        let confused = sign(pem.as_bytes(), &everything("HS256"), r#"{"sub":"root"}"#);
        assert_eq!(verifier.connection(&confused, 0), invalid(Fault::NoKey));
    }
    for (algorithm, token, _) in vectors() {
        for (other, _, mut keys) in vectors() {
            if other != algorithm {
                let verifier = verifier(vec![keys.remove(0)]);
                assert_eq!(verifier.connection(&token, 0), invalid(Fault::NoKey));
            }
        }
    }
    let verifier = verifier(vec![Key::secret(SECRET).unwrap()]);
    for alg in ["none", "None", "", "hs256", "HS512", "RS256"] {
        let signed = sign(SECRET, &everything(alg), "{}");
        assert_eq!(verifier.connection(&signed, 0), invalid(Fault::NoKey), "{alg}");
        let unsigned = &signed[..=signed.rfind('.').unwrap()];
        assert_eq!(verifier.connection(unsigned, 0), invalid(Fault::NoKey), "{alg}");
    }
}

#[test]
fn what_is_no_token_is_told_apart() {
    let verifier = verifier(vec![Key::secret(SECRET).unwrap()]);
    let whole = token(r#"{"sub":"a"}"#);
    assert!(verifier.connection(&whole, NOW).is_ok());
    let huge = token(&format!(r#"{{"sub":"{}"}}"#, "a".repeat(4096)));
    assert_eq!(verifier.connection(&huge, NOW), invalid(Fault::TooLong));
    assert_eq!(verifier.connection(&"a.".repeat(5_000_000), NOW), invalid(Fault::TooLong));
    let padded = whole.replacen('.', "=.", 1);
    for bad in
        ["", ".", "..", "a", "a.b", &padded, "a.b.c.d", "?.e30.AA", "e30.e30.\u{e9}", "e30.e30. "]
    {
        let outcome = verifier.connection(bad, NOW);
        assert!(
            matches!(outcome, Err(TokenError::Invalid(Fault::NotCompact | Fault::Header))),
            "{bad}: {outcome:?}"
        );
    }
    let nested = "[".repeat(3000);
    for header in [
        "[]",
        r#"["HS256"]"#,
        "{}",
        "null",
        r#"{"alg":1}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        &nested,
    ] {
        assert_eq!(verifier.connection(&sign(SECRET, header, "{}"), NOW), invalid(Fault::Header));
    }
    for crit in [r#"["exp"]"#, "[]", "null"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(
            verifier.connection(&sign(SECRET, &header, "{}"), NOW),
            invalid(Fault::Critical)
        );
    }
}

#[test]
fn claims_of_a_wrong_type_are_refused() {
    for payload in [
        "[]",
        "null",
        "\"a\"",
        "",
        "{",
        r#"{"sub":1}"#,
        r#"{"exp":"1"}"#,
        r#"{"exp":true}"#,
        r#"{"channels":"a"}"#,
        r#"{"channels":[1]}"#,
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"subs":[]}"#,
        r#"{"aud":1}"#,
        r#"{"nbf":[]}"#,
        r#"{"channel":{}}"#,
        "{\"sub\":\"\u{1}\"}",
    ] {
        assert_eq!(connection(payload), invalid(Fault::Claims), "{payload}");
    }
    let verifier = verifier(vec![Key::secret(SECRET).unwrap()]);
    let nested = format!(r#"{{"info":{}1{}}}"#, "[".repeat(1000), "]".repeat(1000));
    let outcome = verifier.connection(&token(&nested), NOW);
    assert!(outcome.is_ok() || outcome == invalid(Fault::Claims), "no deep recursion");
}

#[test]
fn a_connection_has_user_end_info_and_rooms() {
    let claims = connection(
        "{\"sub\":\"u1\",\"exp\":1000001,\"info\":{\n\"name\": \"A\\n\"\r\n},\
         \"channels\":[\"a\",\"b\",\"a\"],\
         \"subs\":{\"c\":{\"info\":{}},\"a\":{}},\"iat\":1,\"jti\":\"x\"}",
    )
    .unwrap();
    assert_eq!(claims.user, "u1");
    assert_eq!(claims.expires, Some(1_000_001));
    assert_eq!(claims.info.as_deref(), Some("{ \"name\": \"A\\n\"  }"), "on one line");
    assert_eq!(claims.channels, ["a", "b", "c"]);
    assert_eq!(connection("{}").unwrap(), ConnectionClaims::default());
    assert_eq!(connection(r#"{"info":null,"channels":null}"#).unwrap().info, None);
    assert_eq!(connection(r#"{"channel":"a"}"#), invalid(Fault::ForSubscription));
}

#[test]
fn a_subscription_has_a_room_and_perhaps_a_client() {
    let payload = r#"{"sub":"u1","channel":"$a","client":"id","exp":1000001,"info":[1]}"#;
    let claims = subscription(payload).unwrap();
    assert_eq!((claims.user.as_str(), claims.channel.as_str()), ("u1", "$a"));
    assert_eq!((claims.client.as_deref(), claims.expires), (Some("id"), Some(1_000_001)));
    assert_eq!(claims.info.as_deref(), Some("[1]"));
    assert_eq!(subscription(r#"{"channel":"a","client":""}"#).unwrap().client, None);
    assert_eq!(subscription(r#"{"sub":"u1"}"#), invalid(Fault::NoChannel));
    assert_eq!(subscription(r#"{"channel":""}"#), invalid(Fault::NoChannel));
}

#[test]
fn dates_hold_to_the_second() {
    let ends = |claims: &str| connection(claims).map(|claims| claims.expires);
    assert_eq!(ends(r#"{"exp":1000000}"#), Err(TokenError::Expired));
    assert_eq!(ends(r#"{"exp":1000001}"#), Ok(Some(NOW + 1)));
    assert_eq!(ends(r#"{"exp":1000001.9}"#), Ok(Some(NOW + 1)));
    assert_eq!(ends(r#"{"exp":1e30}"#), Ok(Some(u64::MAX)));
    assert_eq!(ends(r#"{"exp":0}"#), Err(TokenError::Expired));
    assert_eq!(ends(r#"{"exp":-5}"#), Err(TokenError::Expired));
    assert_eq!(ends(r#"{"nbf":1000060}"#), Ok(None), "within the leeway");
    assert_eq!(ends(r#"{"nbf":1000061}"#), invalid(Fault::TooEarly));
    assert_eq!(ends(r#"{"exp":1000001,"expire_at":0}"#), Ok(None), "checked once, then for ever");
    assert_eq!(ends(r#"{"exp":1000001,"expire_at":2000000}"#), Ok(Some(2_000_000)));
}

#[test]
fn audience_and_issuer_are_asked_for_where_they_are_set() {
    let audience = Rules { audience: Some("chat".into()), ..rules() };
    let issuer = Rules { issuer: Some("us".into()), ..rules() };
    let check = |rules: &Rules, payload: &str| {
        let keys = vec![Key::secret(SECRET).unwrap()];
        Verifier::new(keys, rules.clone()).unwrap().connection(&token(payload), NOW).err()
    };
    for good in [r#"{"aud":"chat"}"#, r#"{"aud":["x","chat"]}"#] {
        assert_eq!(check(&audience, good), None);
    }
    for bad in ["{}", r#"{"aud":"cha"}"#, r#"{"aud":[]}"#, r#"{"aud":null,"exp":1}"#] {
        assert_eq!(check(&audience, bad), Some(TokenError::Invalid(Fault::Audience)), "{bad}");
    }
    assert_eq!(check(&issuer, r#"{"iss":"us"}"#), None);
    for bad in ["{}", r#"{"iss":"them","exp":1}"#] {
        assert_eq!(check(&issuer, bad), Some(TokenError::Invalid(Fault::Issuer)), "{bad}");
    }
}

#[test]
fn a_kid_chooses_among_keys() {
    let oct = |kid: &str, secret: &str| {
        let k = BASE64_URL_SAFE_NO_PAD.encode(secret);
        format!(r#"{{"kty":"oct","kid":"{kid}","k":"{k}","alg":"HS256","use":"sig"}}"#)
    };
    let check = |verifier: &Verifier, secret: &str, kid: Option<&str>| {
        let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
        let token = sign(secret.as_bytes(), &format!(r#"{{"alg":"HS256"{kid}}}"#), "{}");
        verifier.connection(&token, NOW).err()
    };
    let no_key = Some(TokenError::Invalid(Fault::NoKey));
    let wrong = Some(TokenError::Invalid(Fault::Signature));
    let two = verifier(set(&[&oct("old", "one"), &oct("new", "two"), RS256_KEY]).unwrap());
    assert_eq!(check(&two, "one", Some("old")), None);
    assert_eq!(check(&two, "two", Some("new")), None);
    assert_eq!(check(&two, "one", Some("new")), wrong);
    assert_eq!(check(&two, "one", Some("newer")), no_key);
    assert_eq!(check(&two, "one", None), no_key, "two could be meant");
    let sole = verifier(set(&[&oct("old", "one"), RS256_KEY]).unwrap());
    assert_eq!(check(&sole, "one", None), None, "one alone could be meant");
    assert_eq!(check(&sole, "one", Some("new")), no_key);
    let plain = verifier(vec![Key::secret(b"one").unwrap()]);
    assert_eq!(check(&plain, "one", Some("any")), None, "a key without an id takes any kid");
}

#[test]
fn a_set_passes_over_what_it_does_not_know_and_names_what_is_broken() {
    let kinds = set(&[
        HS256_KEY,
        RS256_KEY,
        ES256_KEY,
        EDDSA_KEY,
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#,
        r#"{"kty":"new"}"#,
        r#"{"kty":"RSA","use":"enc","n":"!"}"#,
        r#"{"kty":"RSA","alg":"RS512","n":"!"}"#,
    ]);
    assert_eq!(kinds.unwrap().len(), 4);
    let many = vec![HS256_KEY; 65];
    let cases: &[(&[&str], KeyError)] = &[
        (&[], KeyError::None),
        (&[r#"{"kty":"new"}"#], KeyError::None),
        (&[r#"{"k":"AA"}"#], KeyError::NotSet),
        (&["1"], KeyError::NotSet),
        (&[r#"{"kty":"oct"}"#], KeyError::Member),
        (&[r#"{"kty":"oct","k":"+"}"#], KeyError::Member),
        (&[r#"{"kty":"oct","k":""}"#], KeyError::Empty),
        (&[r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#], KeyError::RsaSize),
        (&[r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#], KeyError::Point),
        (&[r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#], KeyError::Point),
        (&[r#"{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}"#], KeyError::Private),
        (&[HS256_KEY, HS256_KEY], KeyError::Nameless),
        (&many, KeyError::TooMany),
    ];
    for (keys, error) in cases {
        assert_eq!(set(keys).err(), Some(*error), "{keys:?}");
    }
    for bad in ["", "{}", "[]", "[[]]", "{\"keys\":{}}"] {
        assert_eq!(Key::from_jwks(bad).err(), Some(KeyError::NotSet), "{bad}");
    }
    assert_eq!(Verifier::new(Vec::new(), rules()).err(), Some(KeyError::None));
    let named = r#"{"kty":"oct","kid":"a","k":"AA"}"#;
    let twice = set(&[named, named]).unwrap();
    assert_eq!(Verifier::new(twice, rules()).err(), Some(KeyError::Twice));
}

#[test]
fn what_is_no_public_key_in_pem_is_named() {
    let labelled = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let cases = [
        (String::new(), KeyError::NotPem),
        ("ssh-rsa AAAA".into(), KeyError::NotPem),
        (EDDSA_PEM.replace("END", "ENDE"), KeyError::NotPem),
        (EDDSA_PEM.replace('=', "!"), KeyError::NotPem),
        (labelled("OTHER"), KeyError::NotPem),
        (labelled("PRIVATE KEY"), KeyError::Private),
        (labelled("EC PRIVATE KEY"), KeyError::Private),
        (labelled("CERTIFICATE"), KeyError::Certificate),
        (labelled("PUBLIC KEY"), KeyError::Kind),
        (labelled("RSA PUBLIC KEY"), KeyError::Kind),
        (P384_PEM.into(), KeyError::Kind),
        (RSA_1024_PEM.into(), KeyError::RsaSize),
    ];
    for (text, error) in cases {
        assert_eq!(Key::from_pem(&text).err(), Some(error), "{text}");
    }
    let among_others = format!("# ours\n\n{}\n\n", EDDSA_PEM.replace('\n', "\r\n"));
    assert!(Key::from_pem(&among_others).is_ok());
    assert_eq!(Key::secret(b"").err(), Some(KeyError::Empty));
}

/// Every text that could reach a log, for every way to fail.
#[test]
fn neither_errors_nor_debug_show_a_secret_or_a_token() {
    let verifier = verifier(vec![Key::secret(SECRET).unwrap()]);
    let marker = "MARKERmarkerMARKER";
    let claims = format!(r#"{{"sub":"{marker}","exp":5,"channel":"{marker}"}}"#);
    let tokens = [
        marker.to_owned(),
        format!("{marker}.{marker}.{marker}"),
        token(&claims),
        token(&claims.replace("\"exp\":5,", "")),
        sign(b"other", &format!(r#"{{"alg":"HS256","kid":"{marker}"}}"#), &claims),
        sign(SECRET, &format!(r#"{{"alg":"{marker}"}}"#), &claims),
        sign(SECRET, &format!(r#"{{"alg":"HS256","crit":["{marker}"]}}"#), &claims),
        token(&format!(r#"{{"sub":["{marker}"]}}"#)),
        token(&marker.repeat(1000)),
    ];
    let mut said = format!("{verifier:?}");
    for text in &tokens {
        let error = verifier.connection(text, NOW).unwrap_err();
        write!(said, "{error} {error:?}").unwrap();
    }
    let good = token(&format!(r#"{{"sub":"{marker}","info":"{marker}"}}"#));
    write!(said, "{:?}", verifier.connection(&good, NOW).unwrap()).unwrap();
    let room = token(&format!(r#"{{"sub":"{marker}","channel":"{marker}"}}"#));
    write!(said, "{:?}", verifier.subscription(&room, NOW).unwrap()).unwrap();
    let encoded = BASE64_URL_SAFE_NO_PAD.encode(marker);
    for hidden in [marker, &encoded[..12], "a secret", "MARKER"] {
        assert!(!said.contains(hidden), "{hidden}: {said}");
    }
    assert!(said.contains("Hs256") && said.contains("signature does not hold"), "{said}");
}
