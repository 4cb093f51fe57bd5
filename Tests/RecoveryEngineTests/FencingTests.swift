import RecoveryEngine
import SiteModel
import Testing

@Suite("Verdicts of a fence command")
struct FencingTests {
    struct Verdict: Sendable {
        var command: [String]
        var verdict: SourceVerdict
    }

    @Test(arguments: [
        Verdict(command: ["/bin/true"], verdict: .proven),
        Verdict(command: ["/bin/false"], verdict: .unknown),
        Verdict(command: ["/nowhere/fence-agent"], verdict: .unknown),
        Verdict(command: [], verdict: .unknown),
        Verdict(command: ["/usr/bin/test", "two words", "=", "two words"], verdict: .proven),
    ])
    func onlyExitStatusZeroIsProof(_ row: Verdict) async {
        #expect(await CommandFencing().fence(host(row.command)) == row.verdict)
    }

    @Test func commandThatDoesNotEndSaysNothing() async {
        let fencing = CommandFencing(limit: .milliseconds(50))
        #expect(await fencing.fence(host(["/bin/sleep", "600"])) == .unknown)
    }

    private func host(_ fence: [String]) -> SiteModel.Host {
        SiteModel.Host(
            id: "a", name: "a", site: "a", uri: "", agentSocket: "", agentAddress: "", store: "", fence: fence)
    }
}
