//! Modes of chmod(1).

/// How a mode changes: chmod(1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModeChange {
    Set(u16),
    Symbolic(Vec<Clause>),
}

/// A clause of a symbolic mode, like `u-s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The bits that belong to the named users.
    who: u16,
    operator: char,
    /// The bits of the permissions, for all users.
    bits: u16,
    /// `X`: permission to execute for folders, and for files that have it for someone.
    executable: bool,
}

impl ModeChange {
    /// Parses an octal or symbolic mode. `None` if the form is not supported.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return u16::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).map(Self::Set);
        }
        text.split(',').map(Clause::parse).collect::<Option<Vec<_>>>().map(Self::Symbolic)
    }

    /// The mode of a file that has the mode `mode`. An octal mode of up to four digits keeps the set-id bits of a folder.
    #[must_use]
    pub fn applied(&self, mode: u16, is_folder: bool) -> u16 {
        match self {
            Self::Set(new) if is_folder => new | mode & 0o6000,
            Self::Set(new) => *new,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |mode, clause| clause.applied(mode, is_folder)),
        }
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['+', '-', '='])?;
        let (who, rest) = text.split_at(at);
        let mut all = 0;
        for c in who.chars() {
            all |= match c {
                'u' => 0o4700,
                'g' => 0o2070,
                'o' => 0o1007,
                'a' => 0o7777,
                _ => return None,
            };
        }
        let operator = rest.chars().next()?;
        let (mut bits, mut executable) = (0, false);
        for c in rest[1..].chars() {
            match c {
                'r' => bits |= 0o444,
                'w' => bits |= 0o222,
                'x' => bits |= 0o111,
                's' => bits |= 0o6000,
                't' => bits |= 0o1000,
                'X' => executable = true,
                _ => return None,
            }
        }
        // Without a user, the umask applies; scripts run with 022.
        let who = if who.is_empty() { 0o7777 & !0o022 } else { all };
        Some(Self { who, operator, bits, executable })
    }

    fn applied(self, mode: u16, is_folder: bool) -> u16 {
        let execute = if self.executable && (is_folder || mode & 0o111 != 0) { 0o111 } else { 0 };
        let bits = (self.bits | execute) & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            // A folder keeps its set-id bits, unless the clause names them.
            _ if is_folder => mode & !(self.who & !0o6000) | bits,
            _ => mode & !self.who | bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// chmod(1) gives the same modes.
    #[test]
    fn modes_change_as_with_chmod() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().to_owned();
        let file = dir.join("file");
        std::fs::write(&file, "").unwrap();
        for text in ["0750", "4755", "u-s", "u+s,g+s", "+x", "go=", "a+rX", "g=rwX,o-rwx", "u=rw", "+t", "-w", "ug+w"] {
            let change = ModeChange::parse(text).unwrap();
            for (path, mode) in [(&file, 0o644), (&file, 0o4711), (&dir, 0o755), (&dir, 0o2700)] {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
                let script = format!("umask 022; chmod -- {text} {}", path.display());
                assert!(std::process::Command::new("sh").args(["-c", &script]).status().unwrap().success());
                let judge = std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
                let ours = change.applied(u16::try_from(mode).unwrap(), path == &dir);
                assert_eq!(u32::from(ours), judge, "chmod {text} of {mode:o}: {ours:o}, chmod gives {judge:o}");
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
        for text in ["", "9", "77777", "u~x", "z+x", "u+q", "u"] {
            assert_eq!(ModeChange::parse(text), None, "{text}");
        }
    }
}
