import BlockReplication
import Foundation
import RecoveryEngine
import SiteModel
import Testing

@testable import RecoveryEngine

@Suite("How safely disks' content reaches an agent")
struct TransportJudgingTests {
    static let now = Timestamp(milliseconds: 1_790_000_000_000)

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let security: SecurityFacts?
        let verdict: CheckVerdict
        let words: String
    }

    private static func certificate(days: Double, from: Double = -1) -> SecurityFacts {
        SecurityFacts(
            isEncrypted: true, isLocal: false,
            certificate: CertificateFacts(
                subject: "/CN=a", issuer: "/CN=x", validFrom: now.advanced(bySeconds: from * 86_400),
                validUntil: now.advanced(bySeconds: days * 86_400), protocolVersion: "TLSv1.3"))
    }

    static let cases = [
        Case(testDescription: "a year left", security: certificate(days: 365), verdict: .ok, words: "TLS 1.3"),
        Case(testDescription: "30 days left", security: certificate(days: 30), verdict: .ok, words: "until"),
        Case(testDescription: "29.5 days left", security: certificate(days: 29.5), verdict: .warn, words: "in 29 days"),
        Case(testDescription: "expired", security: certificate(days: 0), verdict: .fail, words: "has expired"),
        Case(
            testDescription: "not valid yet", security: certificate(days: 9, from: 1), verdict: .fail,
            words: "not valid before"),
        Case(
            testDescription: "a file that cannot be read",
            security: SecurityFacts(isEncrypted: true, isLocal: false, problem: "could be read by others"),
            verdict: .fail, words: "by others"),
        Case(
            testDescription: "plain, on this machine alone", security: SecurityFacts(isEncrypted: false, isLocal: true),
            verdict: .ok, words: "that machine alone"),
        Case(
            testDescription: "plain, by name", security: SecurityFacts(isEncrypted: false, isLocal: false),
            verdict: .warn, words: "unencrypted"),
        Case(testDescription: "an older agent", security: nil, verdict: .skipped, words: "does not say"),
    ]

    @Test("A certificate is spoken of a month before it ends; plain connections are", arguments: cases)
    func judged(_ test: Case) {
        let host = Host(
            id: "a", name: "a", site: "a", uri: "", agentSocket: "", agentAddress: "10.0.0.1:7731", store: "/s")
        let answers = AgentCheckAnswer(
            time: Self.now, dataAddress: "10.0.0.1:7731", storeID: "s",
            store: FolderFacts(path: "/s", freeBytes: 1, totalBytes: 1), images: [], programs: [],
            security: test.security)
        let found = TransportRule.judge(answers, host)
        #expect(found.verdict == test.verdict, "\(found)")
        #expect(found.cause.contains(test.words), "\(found)")
        if test.verdict == .fail, test.security?.problem != nil {
            #expect(found.fix?.contains("authority issue 10.0.0.1") == true, "\(found)")
        }
    }
}
