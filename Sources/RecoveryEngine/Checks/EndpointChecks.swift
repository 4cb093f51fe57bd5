package import BlockReplication
package import SiteModel

/// One endpoint as seen from one place.
package struct EndpointFacts: Sendable {
    package var group: EndpointPlan.Group
    package var endpoint: EndpointPlan.Endpoint
    package var outcome: Seen<EndpointOutcome>
    package var now: Timestamp

    package init(
        group: EndpointPlan.Group, endpoint: EndpointPlan.Endpoint, outcome: Seen<EndpointOutcome>, now: Timestamp
    ) {
        self.group = group
        self.endpoint = endpoint
        self.outcome = outcome
        self.now = now
    }

    var about: String { "\(group.name): \(endpoint.label)" }
}

/// What must hold of endpoints that an operator named.
enum EndpointChecks {
    /// A certificate that ends sooner is told of.
    static let certificateDays = 14.0

    static let all: [Check<EndpointFacts>] = [
        Check(
            "endpoint-reachable", .endpoint, "The endpoint takes a connection, through the proxy where one is set.",
            source: "3, row 3 and the URL list", fix: "Let firewalls and proxies pass it."
        ) { facts in
            facts.outcome.judged { outcome in
                if let failure = outcome.failure, !isAboutTLS(failure.cause) {
                    return fail(failure, facts)
                }
                return .ok(
                    "\(outcome.connectedTo ?? "connected"), \(figure(outcome.seconds * 1000)) ms", about: facts.about)
            }
        },
        Check(
            "endpoint-certificate", .endpoint, "It speaks TLS, and a known authority vouches for its name.",
            source: "3, row 3 and the URL list",
            fix: "See what answers there: a proxy that looks into TLS shows its own certificate."
        ) { facts in
            if facts.endpoint.probe.service != .tls { return .skipped("no TLS is asked for", about: facts.about) }
            return facts.outcome.judged { outcome in
                if let failure = outcome.failure {
                    return isAboutTLS(failure.cause)
                        ? fail(failure, facts) : .skipped("not reached", about: facts.about)
                }
                guard let certificate = outcome.certificate else { return .skipped("not shown", about: facts.about) }
                let days = certificate.validUntil.seconds(since: facts.now) / 86_400
                return days < certificateDays
                    ? .warn(
                        "its certificate ends in \(Int(max(0, days))) days",
                        fix: "Have whoever runs it renew the certificate.",
                        about: facts.about)
                    : .ok("\(certificate.protocolVersion), good for \(Int(days)) days", about: facts.about)
            }
        },
        Check(
            "endpoint-ranges", .endpoint, "All its addresses lie in the ranges that the firewall lets pass.",
            source: "3, row 4",
            fix: "Add the addresses to the firewall's list and to \"ranges\", or ask why the name leads there."
        ) { facts in
            if facts.group.ranges.isEmpty { return .skipped("no ranges are given", about: facts.about) }
            if facts.endpoint.probe.proxy != nil { return .skipped("the proxy looks the name up", about: facts.about) }
            return facts.outcome.judged { outcome in
                if outcome.addresses.isEmpty { return .skipped("it has no address", about: facts.about) }
                let outside = outcome.addresses.filter { address in
                    !facts.group.ranges.contains { $0.contains(address) }
                }
                return outside.isEmpty
                    ? .ok(listed(outcome.addresses), about: facts.about)
                    : .fail(
                        "\(listed(outside)) \(outside.count == 1 ? "lies" : "lie") outside \(listed(facts.group.ranges.map(\.description)))",
                        about: facts.about)
            }
        },
    ]

    private static func fail(_ failure: EndpointFailure, _ facts: EndpointFacts) -> Judgement {
        .fail(
            failure.message, fix: cure(failure.cause, proxied: facts.endpoint.probe.proxy != nil), about: facts.about)
    }

    private static func isAboutTLS(_ cause: EndpointFailure.Cause) -> Bool {
        switch cause {
        case .notTLS, .handshakeFailed, .certificateExpired, .certificateNotYetValid, .certificateSelfSigned,
            .certificateUntrusted, .certificateRevoked, .certificateOfAnotherHost:
            true
        default: false
        }
    }

    /// What to do about each cause.
    static func cure(_ cause: EndpointFailure.Cause, proxied: Bool) -> String {
        switch cause {
        case .invalid: "Correct the endpoint."
        case .nameUnknown: "Check the name, and the name servers of the machine that asks (/etc/resolv.conf)."
        case .refused: "Start what should listen there, or let the firewall pass the port: it rejects it now."
        case .timedOut:
            "See that the other machine is up; else a firewall on the way drops it: let it pass\(proxied ? ", to the proxy" : ", or set the proxy")."
        case .unreachable: "Check addresses, routes and the network's links at the machine that asks."
        case .closed: "See what listens there: it takes connections and ends them, as some firewalls do."
        case .proxyFailed: "Check the proxy's host and port, and that it lets this machine connect."
        case .proxyWantsPassword: "Let the proxy pass this machine without a password, or set another proxy."
        case .proxyRefused: "Let the proxy CONNECT to this endpoint and port."
        case .notTLS: "Check the port; if the endpoint is plain, set \"tls\": false."
        case .handshakeFailed: "See what answers there: it must offer TLS 1.2 or later."
        case .certificateExpired: "Have whoever runs it renew the certificate; check this machine's clock."
        case .certificateNotYetValid: "Check the clock of the machine that asks."
        case .certificateSelfSigned:
            "Name the certificate with \"ca\" if it is meant to be so; else somebody stands in between."
        case .certificateUntrusted:
            "Install ca-certificates, or name the authority with \"ca\"; a proxy that looks into TLS shows its own."
        case .certificateRevoked: "Have whoever runs it renew the certificate."
        case .certificateOfAnotherHost:
            "Check the name; a wrong address or a proxy in between shows another certificate."
        case .notAnAgent:
            "Start `perilune agent` of this version there, and check the address that the host is registered with."
        }
    }
}
