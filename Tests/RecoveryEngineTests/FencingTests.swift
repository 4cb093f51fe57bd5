import RecoveryEngine
import SiteModel
import Testing

@Suite("Verdicts of a fence command")
struct FencingTests {
    @Test(arguments: [["/bin/true"], ["/usr/bin/test", "two words", "=", "two words"]])
    func exitStatusZeroIsProof(_ command: [String]) async {
        #expect(await CommandFencing().fence(host(command)) == .proven)
    }

    @Test(
        "Anything else is none, and what the fence said is told",
        arguments: [
            (["/bin/false"], "/bin/false ended with status 1"),
            (["/nowhere/fence-agent"], "/nowhere/fence-agent is not there or no program"),
            ([], "no fence is recorded for it"),
            (
                ["/bin/sh", "-c", "echo off; echo; echo 'BMC login refused\u{7}' >&2; exit 3"],
                "/bin/sh ended with status 3: BMC login refused"
            ),
            (["/bin/sh", "-c", "echo no power; kill -9 $$"], "/bin/sh ended with signal 9: no power"),
        ])
    func anythingElseIsNone(_ command: [String], _ trouble: String) async {
        #expect(await CommandFencing().fence(host(command)) == .unknown(trouble))
    }

    @Test func commandThatDoesNotEndSaysNothing() async {
        let outcome = await CommandFencing(limit: .milliseconds(50)).fence(host(["/bin/sleep", "600"]))
        #expect(outcome.verdict == .unknown)
        #expect(outcome.trouble?.contains("did not end") == true)
    }

    private func host(_ fence: [String]) -> SiteModel.Host {
        SiteModel.Host(
            id: "a", name: "a", site: "a", uri: "", agentSocket: "", agentAddress: "", store: "", fence: fence)
    }
}
