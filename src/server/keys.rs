//! Keys from the files that the configuration names.

use std::fs::File;
use std::io::{self, Read};

use crate::auth::{Key, KeyError, Rules, Verifier};
use crate::config::{ConfigError, Tokens};
use crate::limits;

/// Secrets shorter than the hash are weaker than it (RFC 7518 3.2), in bytes.
const GOOD_SECRET: usize = 32;

/// The text of a file that an option names.
///
/// # Errors
/// It can not be read, is longer than [`limits::MAX_FILE`], or is no UTF-8.
pub fn read_text(option: &'static str, path: &str) -> Result<String, ConfigError> {
    let mut text = String::new();
    // A device or a pipe may have no end.
    let read = File::open(path).and_then(|file| {
        file.take(limits::MAX_FILE as u64 + 1).read_to_string(&mut text).map(drop)
    });
    let (rule, remedy) = match read {
        Ok(()) if text.len() <= limits::MAX_FILE => return Ok(text),
        Ok(()) => (format!("longer than {} bytes", limits::MAX_FILE), "is it the right file?"),
        Err(e) if e.kind() == io::ErrorKind::InvalidData => {
            ("not text in UTF-8".to_owned(), "is it the right file?")
        }
        Err(e) => (format!("can not be read ({e})"), "check the path and who may read it"),
    };
    Err(ConfigError::new(option, path, rule, remedy))
}

/// What checks tokens; `None` if there is no key.
pub(super) fn verifier(tokens: &Tokens) -> Result<Option<Verifier>, ConfigError> {
    if !tokens.has_keys() {
        return Ok(None);
    }
    let mut keys = Vec::new();
    if let Some(secret) = &tokens.hmac_secret {
        let secret = secret.expose().as_bytes();
        if secret.len() < GOOD_SECRET {
            tracing::warn!(
                "--token-hmac-secret is shorter than {GOOD_SECRET} bytes: good to try things out, \
                 too short to keep others out (openssl rand -hex 32 makes one)"
            );
        }
        keys.push(Key::secret(secret).map_err(|e| wrong("--token-hmac-secret", "not shown", e))?);
    }
    for path in &tokens.public_keys {
        let option = "--token-public-key";
        let key = Key::from_pem(&read_text(option, path)?).map_err(|e| wrong(option, path, e))?;
        keys.push(key);
    }
    if let Some(path) = &tokens.jwks {
        let option = "--token-jwks";
        keys.extend(Key::from_jwks(&read_text(option, path)?).map_err(|e| wrong(option, path, e))?);
    }
    let rules = Rules {
        max_token: limits::MAX_TOKEN,
        leeway_s: limits::TOKEN_LEEWAY_S,
        audience: tokens.audience.clone(),
        issuer: tokens.issuer.clone(),
    };
    let input = tokens.jwks.as_deref().unwrap_or_default();
    Verifier::new(keys, rules).map(Some).map_err(|e| wrong("--token-jwks", input, e))
}

fn wrong(option: &'static str, input: &str, error: KeyError) -> ConfigError {
    let remedy = "give a key as its issuer publishes it (docs/ROOMS.md)";
    ConfigError::new(option, input, error.to_string(), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn file(name: &str, content: &[u8]) -> String {
        let dir = std::env::temp_dir().join(format!("plimsoll-keys-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn keys_come_from_all_that_is_named() {
        let tokens = Tokens {
            hmac_secret: Some(Secret::from("s")),
            public_keys: vec![file(
                "good.pem",
                b"-----BEGIN PUBLIC KEY-----\n\
                  MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
                  -----END PUBLIC KEY-----\n",
            )],
            jwks: Some(file("good.json", br#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#)),
            ..Tokens::default()
        };
        let said = format!("{:?}", verifier(&tokens).unwrap().unwrap());
        assert!(said.contains("EdDsa") && said.contains("Some(\"a\")"), "{said}");
        assert!(verifier(&Tokens::default()).unwrap().is_none());
    }

    #[test]
    fn a_file_that_holds_no_key_is_named() {
        let pem = |path: String| Tokens { public_keys: vec![path], ..Tokens::default() };
        let jwks = |path: String| Tokens { jwks: Some(path), ..Tokens::default() };
        let twice =
            br#"{"keys":[{"kty":"oct","kid":"a","k":"AA"},{"kty":"oct","kid":"a","k":"AA"}]}"#;
        let cases = [
            (pem("/no/such/file".into()), "--token-public-key '/no/such/file': can not be read"),
            (pem("/".into()), "can not be read"),
            (pem(file("empty.pem", b"")), "empty.pem': it is not PEM"),
            (pem(file("binary.pem", b"\xff\xfe")), "not text in UTF-8"),
            (pem(file("long.pem", &vec![b'a'; limits::MAX_FILE + 1])), "longer than"),
            (pem("/dev/zero".into()), "longer than"),
            (jwks(file("bad.json", b"[]")), "bad.json': it is not a JSON object with keys"),
            (jwks(file("none.json", b"{\"keys\":[]}")), "it holds no key"),
            (jwks(file("twice.json", twice)), "twice.json': two keys have the same kid"),
        ];
        for (tokens, said) in cases {
            let error = verifier(&tokens).unwrap_err().to_string();
            assert!(error.contains(said) && error.contains("; "), "{error}: {said}");
        }
    }
}
