import BlockReplication
import SiteModel

/// Whether disks' content reaches an agent as safely as it should.
enum TransportRule {
    /// Days before its end from which a certificate is spoken of.
    static let noticedDays = 30.0

    static func judge(_ answers: AgentCheckAnswer, _ host: Host) -> Judgement {
        guard let security = answers.security else { return .skipped("the agent does not say") }
        let name = SiteInspection.probe(host.agentAddress)?.host ?? host.name
        let issue = "perilune authority issue \(name), and put the file in the place of the agent's old one."
        if let problem = security.problem { return .fail(problem, fix: "Issue one: \(issue)") }
        guard security.isEncrypted else {
            return security.isLocal
                ? .ok("without TLS; its data address is of that machine alone")
                : .warn("it takes disks' content unencrypted: who reads the network reads the disks")
        }
        guard let certificate = security.certificate else { return .fail("its certificate cannot be read") }
        let until = certificate.validUntil
        let days = until.seconds(since: answers.time) / 86_400
        if days <= 0 {
            return .fail("its certificate has expired: \(until.utcText); nothing reaches it", fix: "Renew it: \(issue)")
        }
        if answers.time < certificate.validFrom {
            return .fail(
                "its certificate is not valid before \(certificate.validFrom.utcText)", fix: "Check the host's clock.")
        }
        if days < noticedDays {
            return .warn("its certificate ends in \(Int(days)) days: \(until.utcText)", fix: "Renew it: \(issue)")
        }
        return .ok("TLS 1.3, certificate until \(until.utcText)")
    }
}
