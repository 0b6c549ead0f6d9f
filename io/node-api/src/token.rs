use std::fmt;
use std::hint::black_box;

/// The shared secret that allows changes over TCP. Never shown.
#[derive(Clone)]
pub struct Token(Vec<u8>);

/// Why a text is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// A short secret can be guessed.
    #[error("a token has at least {} printable ASCII characters", Token::MIN)]
    Form,
}

impl Token {
    const MIN: usize = 16;

    /// Reads a token from a file's text; white space around it is cut off.
    pub fn new(text: &str) -> Result<Token, TokenError> {
        let text = text.trim();
        if text.len() < Token::MIN || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(TokenError::Form);
        }
        Ok(Token(text.as_bytes().to_vec()))
    }

    /// The metadata value that proves it.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(&self.0))
    }

    /// Whether an `authorization` value proves the token. Time does not tell how much is right.
    pub(crate) fn matches(&self, header: &[u8]) -> bool {
        let Some(given) = header.strip_prefix(b"Bearer ") else {
            return false;
        };
        if given.len() != self.0.len() {
            return false;
        }
        let differing = self.0.iter().zip(given).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
        black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token::new("  0123456789abcdef\n").unwrap();
        assert!(token.matches(b"Bearer 0123456789abcdef"));
        for wrong in ["", "Bearer ", "0123456789abcdef", "Bearer 0123456789abcdeF", "Bearer 0123"] {
            assert!(!token.matches(wrong.as_bytes()), "{wrong:?}");
        }
        assert!(Token::new("short").is_err());
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
