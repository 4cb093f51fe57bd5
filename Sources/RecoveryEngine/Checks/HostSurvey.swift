import BlockReplication
import Hypervisors
import SiteModel

/// What one host and its agent said when they were asked once.
struct HostSurvey: Sendable {
    var host: Host
    var libvirt: Seen<HypervisorInformation>
    var capabilities: Seen<HypervisorCapabilities>
    var networks: Seen<Set<String>>
    var domains: Seen<[Domain]>
    var agent: Seen<AgentStatus>
    var answers: Seen<AgentCheckAnswer>
    var skew: Seen<ClockSkew>
    var agentIsTooOld = false

    /// Asks a host; with `deeply` false its agent alone.
    static func make(of host: Host, deeply: Bool, _ engine: RecoveryEngine) async throws -> HostSurvey {
        async let hypervisor = hypervisor(of: host, deeply: deeply, engine)
        var survey = try await agent(of: host, engine)
        let seen = try await hypervisor
        survey.libvirt = seen.libvirt
        survey.capabilities = seen.capabilities
        survey.networks = seen.networks
        survey.domains = seen.domains
        return survey
    }

    private init(host: Host, unknown reason: String) {
        self.host = host
        libvirt = .unknown(reason)
        capabilities = .unknown(reason)
        networks = .unknown(reason)
        domains = .unknown(reason)
        agent = .unknown(reason)
        answers = .unknown(reason)
        skew = .unknown(reason)
    }

    private static func hypervisor(
        of host: Host, deeply: Bool, _ engine: RecoveryEngine
    ) async throws -> HostSurvey {
        var survey = HostSurvey(host: host, unknown: "libvirt of \(host.name) was not asked")
        guard deeply else { return survey }
        let opened = try await see { try await engine.hosts.hypervisor(host.id) }
        guard case .known(let hypervisor) = opened else {
            if case .unknown(let reason) = opened { survey.libvirt = .unknown(reason) }
            return survey
        }
        survey.libvirt = try await see { try await hypervisor.information() }
        if case .unknown = survey.libvirt {
            let reason = "libvirt of \(host.name) does not answer"
            survey.capabilities = .unknown(reason)
            survey.networks = .unknown(reason)
            survey.domains = .unknown(reason)
            return survey
        }
        survey.capabilities = try await see { try await hypervisor.capabilities() }
        survey.networks = try await see { Set(try await hypervisor.networks()) }
        survey.domains = try await see { try await hypervisor.domains() }
        return survey
    }

    private static func agent(of host: Host, _ engine: RecoveryEngine) async throws -> HostSurvey {
        var survey = HostSurvey(host: host, unknown: "the agent of \(host.name) does not answer")
        let opened = try await see { try await engine.hosts.agent(host.id) }
        guard case .known(let agent) = opened else { return survey }
        survey.agent = try await see { try await agent.status() }
        if case .unknown = survey.agent { return survey }
        let clock = engine.dependencies.clock
        do {
            let began = clock.now
            let answer = try await agent.check(AgentCheck(programs: HostChecks.programs.keys.sorted()))
            let took = clock.now.seconds(since: began)
            survey.answers = .known(answer)
            survey.skew = .known(
                ClockSkew(
                    seconds: answer.time.seconds(since: began.advanced(bySeconds: took / 2)), uncertainty: took / 2))
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            survey.agentIsTooOld = (error as? ReplicationError)?.code == .unsupported
            let reason =
                survey.agentIsTooOld
                ? "the agent of \(host.name) is too old to be asked"
                : "the agent of \(host.name): \(inspectionWords(error))"
            survey.answers = .unknown(reason)
            survey.skew = .unknown(reason)
        }
        return survey
    }
}

/// Tries to learn something; what went wrong becomes the reason for not knowing it.
func see<Value: Sendable>(_ look: () async throws -> Value) async throws -> Seen<Value> {
    do {
        return .known(try await look())
    } catch is CancellationError {
        throw CancellationError()
    } catch {
        return .unknown(inspectionWords(error))
    }
}

/// An error's own sentence, without its hint: checks have cures of their own.
func inspectionWords(_ error: any Error) -> String {
    switch error {
    case let error as HypervisorError: error.message
    case let error as ReplicationError: error.message
    case let error as EngineError: error.message
    default: "\(error)"
    }
}
