package import BlockReplication
package import Hypervisors
package import SiteModel

/// What was learnt of a host, from its hypervisor, its agent, its peers and this machine.
package struct HostFacts: Sendable {
    /// A connection from this host's agent to another's data address.
    package struct Link: Sendable {
        package var peer: String
        package var address: String
        package var outcome: Seen<EndpointOutcome>

        package init(peer: String, address: String, outcome: Seen<EndpointOutcome>) {
            self.peer = peer
            self.address = address
            self.outcome = outcome
        }
    }

    package var host: Host
    /// Version of this program, which its agents must have too.
    package var engineVersion: String
    package var libvirt: Seen<HypervisorInformation>
    package var capabilities: Seen<HypervisorCapabilities>
    package var agent: Seen<AgentStatus>
    /// Whether the agent lacks the call that most checks ask by.
    package var agentIsTooOld = false
    package var answers: Seen<AgentCheckAnswer>
    /// Seconds by which the host's clock is ahead of this machine's, and how far that may be wrong.
    package var skew: Seen<ClockSkew>
    /// Names of the clouds that the host is in.
    package var clouds: [String]
    /// How many VMs it has, without copies that stand by.
    package var vms: Seen<Int>
    /// Whether it is replicated from, or may be: then it needs scratch space.
    package var scratchNeeded: UInt64
    /// Least space that the replicas here still need, and what they would need if every disk were full.
    package var storeNeeded: UInt64
    package var storeNeededAtMost: UInt64
    /// Names of other hosts whose agents write the same store.
    package var storeSharedWith: [String]
    package var links: [Link]
    /// Why the fence command cannot be run from here; nil when it can.
    package var fenceProblem: String?

    package init(
        host: Host, engineVersion: String, libvirt: Seen<HypervisorInformation>,
        capabilities: Seen<HypervisorCapabilities>, agent: Seen<AgentStatus>, answers: Seen<AgentCheckAnswer>,
        skew: Seen<ClockSkew>, clouds: [String] = [], vms: Seen<Int> = .known(1), scratchNeeded: UInt64 = 0,
        storeNeeded: UInt64 = 0, storeNeededAtMost: UInt64 = 0, storeSharedWith: [String] = [], links: [Link] = [],
        fenceProblem: String? = nil
    ) {
        self.host = host
        self.engineVersion = engineVersion
        self.libvirt = libvirt
        self.capabilities = capabilities
        self.agent = agent
        self.answers = answers
        self.skew = skew
        self.clouds = clouds
        self.vms = vms
        self.scratchNeeded = scratchNeeded
        self.storeNeeded = storeNeeded
        self.storeNeededAtMost = storeNeededAtMost
        self.storeSharedWith = storeSharedWith
        self.links = links
        self.fenceProblem = fenceProblem
    }
}

/// How far a clock is off, measured by asking for its time between two looks at our own.
package struct ClockSkew: Hashable, Sendable {
    /// Positive when the other clock is ahead.
    package var seconds: Double
    /// Half the time that asking took: the true figure lies within so much.
    package var uncertainty: Double

    package init(seconds: Double, uncertainty: Double) {
        self.seconds = seconds
        self.uncertainty = uncertainty
    }

    /// The least that the clock is off for certain.
    package var certain: Double { max(0, abs(seconds) - uncertainty) }
}
