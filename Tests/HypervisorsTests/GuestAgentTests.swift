import Testing

@testable import Hypervisors

@Suite("The guest agent's messages")
struct GuestAgentTests {
    @Test("A command goes as path and arguments, never as a line for a shell")
    func exec() throws {
        #expect(
            try GuestAgentMessages.exec(path: "/bin/echo", arguments: ["a b", "\"; rm"]) == """
                {"arguments":{"arg":["a b","\\"; rm"],"capture-output":true,"path":"/bin/echo"},"execute":"guest-exec"}
                """)
        #expect(
            try GuestAgentMessages.status(of: 7) == "{\"arguments\":{\"pid\":7},\"execute\":\"guest-exec-status\"}")
    }

    @Test(
        "How a program ended, and all that it said",
        arguments: [
            (#"{"return":{"exited":true,"exitcode":0,"out-data":"aGkK"}}"#, 0, "hi\n"),
            (#"{"return":{"exited":true,"exitcode":3,"out-data":"b3V0Cg==","err-data":"ZXJyCg=="}}"#, 3, "out\nerr\n"),
            (#"{"return":{"exited":true,"signal":9}}"#, 137, ""),
        ] as [(String, Int32, String)])
    func status(_ text: String, _ status: Int32, _ output: String) throws {
        let answer: GuestAgentMessages.Status = try GuestAgentMessages.answer(text)
        #expect(answer.exited)
        #expect(answer.result == GuestCommandResult(status: status, output: output))
    }

    @Test("What is no answer is an error that says so")
    func noAnswer() {
        #expect(throws: HypervisorError.self) { let _: GuestAgentMessages.Began = try GuestAgentMessages.answer("{}") }
    }
}
