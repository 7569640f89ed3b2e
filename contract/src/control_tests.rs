use super::*;

#[test]
fn calls_frames_and_problems_are_one_line_of_json() {
    let call = Call { id: 7, request: Request::Logs { service: "netd".into(), follow: true } };
    let text = serde_json::to_string(&call).unwrap();
    assert_eq!(text, r#"{"id":7,"request":{"logs":{"service":"netd","follow":true}}}"#);
    assert_eq!(serde_json::from_str::<Call>(&text).unwrap(), call);
    assert_eq!(
        serde_json::to_string(&Call { id: 1, request: Request::Status }).unwrap(),
        r#"{"id":1,"request":"status"}"#
    );
    let problem =
        Problem::Service { name: "netd".into(), state: ServiceState::Backoff, end: "signal 9 (SIGKILL)".into() };
    let text = serde_json::to_string(&problem).unwrap();
    assert_eq!(text, r#"{"kind":"service","name":"netd","state":"backoff","end":"signal 9 (SIGKILL)"}"#);
    assert_eq!(serde_json::from_str::<Problem>(&text).unwrap(), problem);
    assert_eq!(problem.to_string(), "service netd is started again: signal 9 (SIGKILL)");
    let frame = Frame { id: 7, body: Body::Line(LogLine { at_us: 5, text: "a\nb".into() }) };
    let text = serde_json::to_string(&frame).unwrap();
    assert!(!text.contains('\n'));
    assert_eq!(serde_json::from_str::<Frame>(&text).unwrap(), frame);
}
