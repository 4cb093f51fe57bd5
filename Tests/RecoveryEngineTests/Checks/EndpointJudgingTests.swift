import BlockReplication
import Foundation
import SiteModel
import TestSupport
import Testing

@testable import RecoveryEngine

@Suite("Endpoints: the file, the ranges and the verdicts")
struct EndpointJudgingTests {
    static let noticed: Set<String> = ["endpoint-reachable", "endpoint-certificate", "endpoint-ranges"]

    @Test(
        "Ranges hold what they should",
        arguments: [
            ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.128/25", "192.0.2.127", false), ("0.0.0.0/0", "203.0.113.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false), ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false), ("0.0.0.0/0", "::1", false),
            ("fe80::/10", "fe80::1%eth0", true),
        ])
    func ranges(range: String, address: String, inside: Bool) throws {
        #expect(try #require(AddressRange(range)).contains(address) == inside)
    }

    @Test(
        "What is no range is refused",
        arguments: [
            "", "192.0.2.0/33", "192.0.2.1/24", "192.0.2.0/-1", "192.0.2/24", "a/8", "2001:db8::1/32", "1.2.3.4/",
            "1.2.3.4/8/8",
        ])
    func badRange(text: String) { #expect(AddressRange(text) == nil) }

    @Test("The sample file is read as it is meant")
    func sample() throws {
        let plan = try EndpointPlan(contentsOf: project("examples/endpoints.json"))
        #expect(plan.groups.map(\.name) == ["identity", "coordination", "storage", "packages", "inside"])
        let identity = try #require(plan.groups[0].endpoints.first).probe
        #expect(
            identity.port == 443 && identity.service == .tls && identity.proxy == nil && identity.timeoutSeconds == 5)
        let mail = plan.groups[1].endpoints[1].probe
        #expect(mail.port == 25 && mail.service == .tcp)
        #expect(plan.groups[1].ranges.map(\.description) == ["192.0.2.0/24", "2001:db8::/32"])
        #expect(plan.groups[2].endpoints[0].probe.proxy == EndpointProbe.Proxy(host: "proxy.example.org", port: 3128))
        #expect(plan.groups[4].endpoints[0].probe.timeoutSeconds == 2)
    }

    @Test("What an endpoint says goes before its group, and that before the file")
    func defaults() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        try scratch.put("PEM", at: "ca.pem")
        let text = """
            { "proxy": "[2001:db8::1]:3128", "timeout_seconds": 1, "ca": "ca.pem",
              "groups": [ { "name": "g", "timeout_seconds": 1.5, "endpoints": [
                "a.example.org", { "host": "2001:db8::2", "proxy": "direct", "timeout_seconds": 3 } ] } ] }
            """
        let endpoints = try EndpointPlan(json: Data(text.utf8), folder: scratch.path).groups[0].endpoints
        #expect(endpoints[0].probe.proxy == EndpointProbe.Proxy(host: "2001:db8::1", port: 3128))
        #expect(endpoints[0].probe.timeoutSeconds == 1.5 && endpoints[0].probe.authorities == "PEM")
        #expect(endpoints[1].probe.proxy == nil && endpoints[1].probe.timeoutSeconds == 3)
        #expect(endpoints[1].label == "[2001:db8::2]:443")
    }

    @Test(
        "A mistake in the file names its place, what was given and what is allowed",
        arguments: [
            ("[]", "no object"), ("{", "no JSON"), ("{}", "\"groups\" is missing"), ("{\"groups\":[]}", "groups"),
            ("{\"groups\":[{\"endpoints\":[\"a\"]}]}", "\"name\""), ("{\"groups\":[{\"name\":\"g\"}]}", "group 'g'"),
            ("{\"grups\":[]}", "no field 'grups'"),
            (one("{\"host\":\"*.example.org\"}"), "'*.example.org' is no host name"),
            (one("{\"host\":\"a\",\"port\":70000}"), "port"), (one("{\"host\":\"a\",\"port\":true}"), "port"),
            (one("{\"host\":\"a\",\"port\":1.5}"), "port"), (one("{\"host\":\"a\",\"tls\":\"yes\"}"), "tls"),
            (one("{\"host\":\"a\",\"tls\":1}"), "\"tls\" is 1"),
            (one("{\"host\":\"a\",\"proxy\":\"nothing\"}"), "proxy"),
            (one("{\"host\":\"a\",\"ca\":\"/no/such\"}"), "/no/such"),
            (one("{\"host\":\"a\",\"timeout_seconds\":0}"), "timeout_seconds"), (one("7"), "no object"),
            ("{\"groups\":[{\"name\":\"g\",\"endpoints\":[\"a\"],\"ranges\":[\"10.0.0.1/8\"]}]}", "'10.0.0.1/8'"),
            (
                "{\"groups\":[{\"name\":\"g\",\"endpoints\":[\"a\"]},{\"name\":\"g\",\"endpoints\":[\"a\"]}]}",
                "two groups"
            ),
        ])
    func mistakes(text: String, says: String) throws {
        let error = #expect(throws: EngineError.self) {
            try EndpointPlan(json: Data(text.utf8), folder: "/")
        }
        #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
        #expect(error?.hint?.isEmpty == false)
    }

    private static func one(_ endpoint: String) -> String {
        "{\"groups\":[{\"name\":\"g\",\"endpoints\":[\(endpoint)]}]}"
    }

    private func findings(
        tls: Bool = true, ranges: [String] = [], proxy: Bool = false, _ outcome: Seen<EndpointOutcome>
    ) throws -> [String: CheckFinding] {
        let text = """
            {"groups":[{"name":"g","ranges":[\(ranges.map { "\"\($0)\"" }.joined(separator: ","))],
            "endpoints":[{"host":"a.example.org","tls":\(tls)\(proxy ? ",\"proxy\":\"p:3128\"" : "")}]}]}
            """
        let group = try EndpointPlan(json: Data(text.utf8), folder: "/").groups[0]
        let facts = EndpointFacts(group: group, endpoint: group.endpoints[0], outcome: outcome, now: checkTime)
        let all = EndpointChecks.all.flatMap { $0.findings(facts, object: "here") }
        return Dictionary(all.map { ($0.check, $0) }, uniquingKeysWith: { $1 })
    }

    private func certificate(days: Double) -> CertificateFacts {
        CertificateFacts(
            subject: "CN=a", issuer: "CN=ca", validFrom: checkTime,
            validUntil: checkTime.advanced(bySeconds: days * 86_400),
            protocolVersion: "TLSv1.3")
    }

    @Test("A good endpoint passes; its certificate's end is told of in time; its addresses are held against the ranges")
    func good() throws {
        let outcome = EndpointOutcome(
            addresses: ["192.0.2.1", "203.0.113.1"], connectedTo: "192.0.2.1", certificate: certificate(days: 90))
        let good = try findings(ranges: ["192.0.2.0/24", "203.0.113.0/24"], .known(outcome))
        #expect(good.values.allSatisfy { $0.verdict == .ok }, "\(good)")
        let outside = try findings(ranges: ["192.0.2.0/24"], .known(outcome))["endpoint-ranges"]
        #expect(outside?.verdict == .fail && outside?.cause.contains("203.0.113.1 lies outside") == true)
        #expect(try findings(.known(outcome))["endpoint-ranges"]?.verdict == .skipped)
        #expect(
            try findings(ranges: ["192.0.2.0/24"], proxy: true, .known(outcome))["endpoint-ranges"]?.verdict == .skipped
        )
        var ending = outcome
        ending.certificate = certificate(days: 13)
        #expect(try findings(.known(ending))["endpoint-certificate"]?.verdict == .warn)
    }

    @Test("Each cause fails one check, with a cure of its own", arguments: EndpointFailure.Cause.allCases)
    func causes(cause: EndpointFailure.Cause) throws {
        let outcome = EndpointOutcome(failure: EndpointFailure(cause, "it did"))
        let found = try findings(.known(outcome))
        let failing = found.values.filter { $0.verdict == .fail }
        #expect(failing.count == 1 && failing[0].fix == EndpointChecks.cure(cause, proxied: false))
        let isTLS = cause.rawValue.hasPrefix("certificate") || cause == .notTLS || cause == .handshakeFailed
        #expect(failing.first?.check == (isTLS ? "endpoint-certificate" : "endpoint-reachable"))
    }

    @Test("What nobody could try is skipped")
    func unknown() throws {
        let found = try findings(ranges: ["192.0.2.0/24"], .unknown("the agent is gone"))
        #expect(found.count == 3 && found.values.allSatisfy { $0.verdict == .skipped && $0.cause.contains("gone") })
    }
}

/// A file of the project, found from this source file.
func project(_ path: String) -> String {
    var folder = URL(filePath: #filePath).resolvingSymlinksInPath()
    for _ in 0..<4 { folder = folder.deletingLastPathComponent() }
    return folder.appending(path: path).path
}
