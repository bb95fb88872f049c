//! Keys and share links: how they are made, kept and recognised. Pure but for the random bytes of a new key. A key is never kept, only its hash; neither is ever logged.
//!
//! SHA-256 suffices to hide a key: a key is 256 random bits, so there is no list of likely ones to try, which is what slow hashes are against. A presented key is hashed and compared with
//! every kept hash in constant time.

use std::fmt;
use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use logline::CustomerId;
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};

use crate::scope::Scope;

/// What every key begins with, so that it is recognised where it should not be.
const PREFIX: &str = "tg_";
const KEY_BYTES: usize = 32;
const HASH_BYTES: usize = digest::SHA256_OUTPUT_LEN;
/// The shortest secret that links are signed with: 256 bits as base64url or hex.
const SECRET_MIN_BYTES: usize = 32;
/// No token of ours is longer: the longest id, its expiry and its signature.
const TOKEN_MAX_BYTES: usize = 512;
/// What a signature is about, so that none of another use is one.
const PURPOSE: &[u8] = b"tailgauge share link 1\0";
/// No link opens longer: ten years.
pub(crate) const SHARE_MAX_SECONDS: i64 = 3_660 * 86_400;

/// What opens the api.
#[derive(Clone, Default)]
pub struct Keys {
    keys: Vec<([u8; HASH_BYTES], Scope)>,
    sharing: Option<hmac::Key>,
}

/// Who asks: for the rate limit. Tells nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asker {
    /// The key of that place in the list.
    Key(usize),
    /// A link to that customer.
    Link(String),
}

/// What a key or link opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) asker: Asker,
    pub(crate) scope: Scope,
    /// Until when, in seconds since 1970.
    pub(crate) until_second: Option<i64>,
}

/// Shows how many there are, and nothing of them.
impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys {{ {} keys, sharing: {} }}", self.keys.len(), self.sharing.is_some())
    }
}

impl Keys {
    /// Reads entries, one a line or separated by commas: `sha256:HEX:admin`, `sha256:HEX:customer:ID` (the id percent-encoded). Lines that begin with `#` are comments.
    ///
    /// # Errors
    /// The number of the first entry that is none, and why. Never its text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let entries = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|entry| !entry.is_empty());
        let keys = entries.enumerate().map(|(number, entry)| {
            parse_entry(entry).map_err(|wrong| format!("entry {}: {wrong}", number + 1))
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, sharing: None })
    }

    /// The same, with links that are signed with a secret.
    ///
    /// # Errors
    /// The secret is too short to be one.
    pub fn sharing(self, secret: &str) -> Result<Self, String> {
        if secret.len() < SECRET_MIN_BYTES {
            return Err(format!("at least {SECRET_MIN_BYTES} characters that nobody can guess"));
        }
        Ok(Self { sharing: Some(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())), ..self })
    }

    /// Whether a key is needed at all.
    pub fn are_needed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether links can be made.
    pub(crate) fn can_share(&self) -> bool {
        self.sharing.is_some()
    }

    /// What a presented key opens. Looks at every key, whichever it is.
    pub(crate) fn open(&self, key: &str) -> Option<Opened> {
        let hash = hash_of(key);
        let mut found = None;
        for (number, (kept, scope)) in self.keys.iter().enumerate() {
            if equal(&hash, kept) {
                found = Some((number, scope));
            }
        }
        found.map(|(number, scope)| Opened {
            asker: Asker::Key(number),
            scope: scope.clone(),
            until_second: None,
        })
    }

    /// A link's token for a customer until a second; None without a secret.
    pub fn share(&self, customer: &str, until_second: i64) -> Option<String> {
        let payload = [&until_second.to_be_bytes()[..], customer.as_bytes()].concat();
        let signature = hmac::sign(self.sharing.as_ref()?, &[PURPOSE, &payload].concat());
        Some(format!("{}.{}", URL_SAFE_NO_PAD.encode(&payload), URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What a link's token opens at a second.
    pub(crate) fn open_link(&self, token: &str, now_second: i64) -> Option<Opened> {
        let key = self.sharing.as_ref()?;
        let (payload, signature) = token.split_once('.').filter(|_| token.len() <= TOKEN_MAX_BYTES)?;
        let (payload, signature) =
            (URL_SAFE_NO_PAD.decode(payload).ok()?, URL_SAFE_NO_PAD.decode(signature).ok()?);
        // Nothing is read before the signature holds; it is compared in constant time.
        hmac::verify(key, &[PURPOSE, &payload].concat(), &signature).ok()?;
        let (until, customer) = payload.split_at_checked(8)?;
        let until_second = i64::from_be_bytes(until.try_into().ok()?);
        let customer = std::str::from_utf8(customer).ok().filter(|id| CustomerId::new(id).is_ok())?;
        (now_second < until_second).then(|| Opened {
            asker: Asker::Link(customer.to_owned()),
            scope: Scope::Customer(customer.to_owned()),
            until_second: Some(until_second),
        })
    }
}

fn parse_entry(entry: &str) -> Result<([u8; HASH_BYTES], Scope), String> {
    let expected =
        "expected sha256:64 HEX DIGITS:admin or sha256:64 HEX DIGITS:customer:ID, as `api key new` prints it";
    let (hex, scope) = entry.strip_prefix("sha256:").and_then(|rest| rest.split_once(':')).ok_or(expected)?;
    let mut hash = [0; HASH_BYTES];
    let digits = hex.len() == 2 * HASH_BYTES && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !digits {
        return Err(expected.to_owned());
    }
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).expect("ASCII");
        *byte = u8::from_str_radix(digits, 16).expect("hex digits");
    }
    match scope.split_once(':') {
        None if scope == "admin" => Ok((hash, Scope::Everything)),
        Some(("customer", id)) => {
            let id = percent_encoding::percent_decode_str(id)
                .decode_utf8()
                .map_err(|_| "its customer is not UTF-8")?;
            match CustomerId::new(&id) {
                Ok(_) => Ok((hash, Scope::Customer(id.into_owned()))),
                Err(_) => Err("no customer can have its id".to_owned()),
            }
        }
        _ => Err(expected.to_owned()),
    }
}

/// A customer's id where only letters, digits and `-._~` may stand: in an entry, and as a segment of a path.
pub(crate) fn encoded_id(id: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(id, PLAIN).to_string()
}

/// A new key, and the entry to keep of it.
#[derive(Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The key: shown once.
    pub key: String,
    /// The entry for API_KEYS.
    pub entry: String,
}

/// Does not show the key.
impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").finish_non_exhaustive()
    }
}

impl NewKey {
    /// A key for everything, or for one customer.
    ///
    /// # Errors
    /// The system has no random bytes, or no customer can have that id.
    pub fn generate(customer: Option<&str>) -> Result<Self, String> {
        let mut bytes = [0; KEY_BYTES];
        SystemRandom::new().fill(&mut bytes).map_err(|_| "the system gives no random bytes".to_owned())?;
        Self::of_bytes(&bytes, customer)
    }

    fn of_bytes(bytes: &[u8; KEY_BYTES], customer: Option<&str>) -> Result<Self, String> {
        let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let hex: String = hash_of(&key).iter().map(|byte| format!("{byte:02x}")).collect();
        let scope = match customer {
            None => "admin".to_owned(),
            Some(id) if CustomerId::new(id).is_ok() => format!("customer:{}", encoded_id(id)),
            Some(_) => return Err("no customer can have this id".to_owned()),
        };
        Ok(Self { key, entry: format!("sha256:{hex}:{scope}") })
    }
}

fn hash_of(key: &str) -> [u8; HASH_BYTES] {
    digest::digest(&digest::SHA256, key.as_bytes()).as_ref().try_into().expect("the length of SHA-256")
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
fn equal(a: &[u8; HASH_BYTES], b: &[u8; HASH_BYTES]) -> bool {
    black_box(a.iter().zip(b).fold(0, |difference, (a, b)| black_box(difference | (a ^ b)))) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn new(byte: u8, customer: Option<&str>) -> NewKey {
        NewKey::of_bytes(&[byte; KEY_BYTES], customer).expect("an id")
    }

    #[test]
    fn a_key_opens_what_its_entry_says() {
        let (admin, one, odd) = (new(1, None), new(2, Some("cust_1")), new(3, Some("a,b:c d\u{e9}")));
        assert_eq!(admin.key, "tg_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE");
        let text = format!("# who has which\n{},{}\n\n {} \n", admin.entry, one.entry, odd.entry);
        let keys = Keys::parse(&text).expect("entries of ours");
        assert!(keys.are_needed());
        let opened = |key: &str| keys.open(key).map(|opened| (opened.asker, opened.scope));
        assert_eq!(opened(&admin.key), Some((Asker::Key(0), Scope::Everything)));
        assert_eq!(opened(&one.key), Some((Asker::Key(1), Scope::Customer("cust_1".to_owned()))));
        assert_eq!(opened(&odd.key), Some((Asker::Key(2), Scope::Customer("a,b:c d\u{e9}".to_owned()))));
        for other in
            ["", "tg_", &admin.key[1..], &format!("{} ", admin.key), &admin.entry, &admin.entry[7..71]]
        {
            assert_eq!(opened(other), None, "{other}");
        }
    }

    #[test]
    fn entries_that_are_none_are_told_by_number_and_never_repeated() {
        let good = new(1, None).entry;
        for bad in [
            "tg_secret",
            "sha256:12:admin",
            "sha256::admin",
            &good.replace("admin", "Admin"),
            &good.replace(":admin", ""),
            &good.replace("admin", "customer:"),
            &good.replace("admin", "customer:%FF"),
            &good.replace("sha256", "md5"),
        ] {
            let wrong = Keys::parse(&format!("{good}\n{bad}")).expect_err(bad);
            assert!(wrong.starts_with("entry 2: ") && !wrong.contains("secret"), "{wrong}");
        }
        assert!(!Keys::parse("").expect("no entries").are_needed());
        assert!(NewKey::generate(Some("")).is_err());
        assert_ne!(NewKey::generate(None).expect("bytes").key, NewKey::generate(None).expect("bytes").key);
    }

    #[test]
    fn keys_do_not_show_themselves() {
        let keys = Keys::parse(&new(1, None).entry).expect("an entry").sharing(SECRET).expect("long enough");
        assert_eq!(format!("{keys:?}"), "Keys { 1 keys, sharing: true }");
        assert!(Keys::default().sharing("short").is_err());
    }

    #[test]
    fn a_link_opens_one_customer_until_it_ends() {
        let keys = Keys::default().sharing(SECRET).expect("long enough");
        let token = keys.share("cust_1", 1_000).expect("a secret");
        let opened = keys.open_link(&token, 999).expect("open");
        assert_eq!((opened.scope, opened.until_second), (Scope::Customer("cust_1".to_owned()), Some(1_000)));
        assert_eq!(keys.open_link(&token, 1_000), None, "over");
        let other = Keys::default().sharing("another secret of the same length").expect("long enough");
        assert_eq!(other.open_link(&token, 0), None, "signed by somebody else");
        assert_eq!(Keys::default().open_link(&token, 0), None, "no secret");
        let (payload, signature) = token.split_once('.').expect("two parts");
        let longer = URL_SAFE_NO_PAD.encode([&9_999_i64.to_be_bytes()[..], b"cust_1"].concat());
        for forged in [
            format!("{longer}.{signature}"),
            payload.to_owned(),
            format!("{payload}."),
            format!("{token}="),
            format!("{token}.x"),
            String::new(),
        ] {
            assert_eq!(keys.open_link(&forged, 0), None, "{forged}");
        }
    }

    proptest! {
        #[test]
        fn no_text_opens_anything(text in ".*") {
            let keys = Keys::parse(&new(1, None).entry).expect("an entry").sharing(SECRET).expect("long enough");
            prop_assert_eq!(keys.open(&text), None);
            prop_assert_eq!(keys.open_link(&text, 0), None);
            drop(Keys::parse(&text));
        }

        #[test]
        fn every_changed_bit_of_a_token_closes_it(at in 0_usize..60, bit in 0_u8..6) {
            let keys = Keys::default().sharing(SECRET).expect("long enough");
            let mut token = keys.share("cust_1", i64::MAX).expect("a secret").into_bytes();
            let at = at % token.len();
            token[at] ^= 1 << bit;
            if let Ok(token) = String::from_utf8(token) {
                prop_assert_eq!(keys.open_link(&token, 0), None);
            }
        }
    }
}
