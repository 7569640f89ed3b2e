use super::*;
use std::time::Duration;

fn parse(text: &str) -> Result<Line, LineError> {
    Line::parse(text, &|letter| (letter == 'm').then(|| "0123".to_owned()))
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn all_fields_are_read() {
    let line = parse("D!+-=$ \"/run//a b/./c/\" ~:1770 :root 0 ~am:1d12h two  words\\n").unwrap();
    let modifiers = Modifiers {
        boot: true,
        plus: true,
        may_fail: true,
        replace_other_type: true,
        purge: true,
        ..Modifiers::default()
    };
    assert_eq!((line.line_type, line.modifiers), (LineType::EmptiedDirectory, modifiers));
    assert_eq!(line.path, b"/run/a b/c");
    assert_eq!(line.mode, Some(Mode { bits: 0o1770, masked: true, only_new: true }));
    assert_eq!(line.user, Some(Owner { name: "root".into(), only_new: true }));
    assert_eq!(line.group, Some(Owner { name: "0".into(), only_new: false }));
    let age = line.age.unwrap();
    assert_eq!(age.files, [Timestamp::Access, Timestamp::Modification]);
    assert_eq!(age.directories, [Timestamp::Access, Timestamp::Birth, Timestamp::Modification]);
    assert!(age.keep_first_level && age.limit == Some(Duration::from_secs(129_600)));
    assert_eq!(line.argument, Argument::None, "a directory takes no argument");
    let bare = parse("d /").unwrap();
    assert_eq!((bare.path, bare.mode, bare.user, bare.age), (b"/".to_vec(), None, None, None));
}

#[test]
fn arguments_are_read_by_type() {
    let argument = |text| parse(text).unwrap().argument;
    let content = |text: &[u8]| Argument::Content(text.to_vec());
    assert_eq!(argument("f /a - - - - a\\nb \\x41 100%% \"q\" %t %m %y"), content(b"a\nb A 100% \"q\" /run 0123 %y"));
    assert_eq!(argument("f~ /a - - - - YQpi\\n".trim_end_matches("\\n")), content(b"a\nb"));
    assert_eq!((argument("f /a"), argument("f /a - - - - -")), (Argument::None, Argument::None));
    assert_eq!(argument("f^ /a - - - - name"), Argument::Credential("name".into()));
    assert_eq!(argument("L /etc/x"), Argument::Target(b"/usr/share/factory/etc/x".to_vec()));
    assert_eq!(argument("L /etc/x - - - - ../a\\x20b"), Argument::Target(b"../a b".to_vec()));
    assert_eq!(argument("C /etc/x"), Argument::Source(b"/usr/share/factory/etc/x".to_vec()));
    assert_eq!(argument("c /dev/null 666 - - - 1:3"), Argument::Device { major: 1, minor: 3 });
    let xattrs = vec![("user.a".to_owned(), b"1 2".to_vec()), ("user.b".to_owned(), b"/run".to_vec())];
    assert_eq!(argument("t /a - - - - \"user.a=1 2\" user.b=%t"), Argument::Xattrs(xattrs));
    assert_eq!(argument("a+ /a - - - - u:x:rw"), Argument::Acl(super::acl::AclText::parse("user:x:wr").unwrap()));
}

#[test]
fn lines_without_a_meaning_are_named() {
    for (text, expected) in [
        ("d", "expected a type and a path"),
        ("\"\" /a", "expected a type and a path"),
        ("d \"/a", "a quote is not closed"),
        ("d /a\\q", "expected a C escape, found \"\\\\q\""),
        ("k /a", "unknown type 'k'"),
        ("\u{feff}d /a", "unknown type '\\u{feff}'"),
        ("d? /a", "the type 'd' does not take the modifier '?'"),
        ("z$ /a", "the type 'z' does not take the modifier '$'"),
        ("d% /a", "unknown or repeated modifier '%'"),
        ("d++ /a", "unknown or repeated modifier '+'"),
        ("d a", "expected an absolute path"),
        ("d /a/%v", "the specifier %v has no value here"),
        ("d /a 0999", "expected a mode of up to four octal digits"),
        ("d /a 17777", "expected a mode of up to four octal digits"),
        ("d /a +755", "expected a mode of up to four octal digits"),
        ("d /a - - - 1parsec", "expected an age such as 10d or m:1h, found \"1parsec\""),
        ("d /a - - - x:1d", "expected an age such as 10d or m:1h, found \"x:1d\""),
        ("w /a", "expected a content as argument, found \"\""),
        ("C /a - - - - b", "expected an absolute path as argument, found \"b\""),
        ("b /a - - - - 1", "expected the numbers of a device, such as 1:3 as argument, found \"1\""),
        ("t /a - - - - a", "expected attributes such as user.name=value as argument, found \"a\""),
        ("f~ /a - - - - YQ=", "expected base64 as argument, found \"YQ=\""),
        ("L~ /a - - - - YQ==", "the type 'L' does not take the modifier '~'"),
        ("d /a \\xff", "expected UTF-8 in the field mode"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

#[test]
fn prefixes_of_modes_and_owners_decide_what_changes() {
    let new = |text| parse(text).unwrap().mode_of_new();
    assert_eq!((new("d /a"), new("f /a"), new("f /a ~4711")), (0o755, 0o644, 0o711));
    for (mode, found, is_directory, expected) in [
        ("-", 0o600, false, 0o600),
        ("0755", 0o600, false, 0o755),
        (":0755", 0o600, false, 0o600),
        ("~0755", 0o600, false, 0o644),
        ("~0755", 0o444, false, 0o444),
        ("~1777", 0o700, true, 0o1777),
    ] {
        let line = parse(&format!("z /a {mode}")).unwrap();
        assert_eq!(line.mode_of_existing(found, is_directory), expected, "{mode} on {found:o}");
    }
    let owner = parse("d /a - :x y").unwrap().user;
    assert_eq!((Owner::wanted(owner.as_ref(), true), Owner::wanted(owner.as_ref(), false)), (Some("x"), None));
}

#[test]
fn lines_are_arranged_as_systemd_applies_them() {
    let lines =
        ["z /a/* 0700", "d /b/c", "f /b/c/d - - - - one", "f /b/c/d - - - - two", "d /b", "d /b/c", "z /b/c 0711"];
    let lines = lines.iter().enumerate().map(|(at, text)| (parse(text).unwrap(), at)).collect();
    let order: Vec<usize> = arrange(lines).into_iter().map(|(_, at)| at).collect();
    assert_eq!(order, [4, 1, 5, 2, 0, 6]);
    let names = |parent: &[u8]| -> Result<Vec<Vec<u8>>, ()> {
        Ok(match parent {
            b"" => vec![b"a".to_vec(), b"ab".to_vec(), b".a".to_vec()],
            b"/ab" => vec![b"x1".to_vec(), b"y1".to_vec()],
            _ => Vec::new(),
        })
    };
    for (pattern, expected) in [
        ("/*a*/x?", &["/ab/x1"][..]),
        ("/[ab]/c", &["/a/c"]),
        ("/.*", &["/.a"]),
        ("/{a,ab/?1}", &["/a", "/ab/x1", "/ab/y1"]),
        ("/\\a/\\b", &["/a/b"]),
    ] {
        let found = matching(pattern.as_bytes(), &names).unwrap();
        assert_eq!(found, expected.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>(), "{pattern}");
        assert!(found.iter().all(|path| is_match(pattern.as_bytes(), path)), "{pattern}");
    }
    assert!(!is_match(b"/a/*", b"/a/.b") && !is_match(b"/a/*", b"/a") && !is_match(b"/a/*", b"/a/b/c"));
}
