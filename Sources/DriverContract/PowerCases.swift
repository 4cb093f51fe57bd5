import BlockReplication
import Hypervisors

extension DriverContract {
    static let powerCases: [DriverContract] = [
        DriverContract("start paused, resume, suspend, each twice without harm") { site in
            try await site.source.destroy(uuid: site.vm.uuid)
            for _ in 1...2 { try await site.source.start(uuid: site.vm.uuid, paused: true) }
            try require("power after a paused start", try await site.power(), .paused)
            for _ in 1...2 { try await site.source.resume(uuid: site.vm.uuid) }
            try require("power after resume", try await site.power(), .running)
            try await site.source.start(uuid: site.vm.uuid, paused: true)
            try require("power after the start of a running VM", try await site.power(), .running)
            for _ in 1...2 { try await site.source.suspend(uuid: site.vm.uuid) }
            try require("power after suspend", try await site.power(), .paused)
        },
        DriverContract("a VM that is off cannot be resumed or suspended") { site in
            try await site.source.destroy(uuid: site.vm.uuid)
            try await refused(.failed, "resume") { try await site.source.resume(uuid: site.vm.uuid) }
            try await refused(.failed, "suspend") { try await site.source.suspend(uuid: site.vm.uuid) }
        },
        DriverContract("the power button: one guest goes down, the other lets the limit run out and runs on") { site in
            try await site.letItWrite()
            try require(
                "a willing guest", try await site.source.shutDown(uuid: site.vm.uuid, limit: .seconds(90)), true)
            try require("its power", try await site.power(), .off)
            try require("once more", try await site.source.shutDown(uuid: site.vm.uuid, limit: .seconds(1)), true)
            let stubborn = site.stubborn.uuid
            try require("a stubborn guest", try await site.source.shutDown(uuid: stubborn, limit: .seconds(6)), false)
            try require("its power", try await site.source.domain(uuid: stubborn)?.power, .running)
        },
        DriverContract("destroy leaves a VM off; a killed QEMU leaves it crashed until its next start") { site in
            for _ in 1...2 { try await site.source.destroy(uuid: site.vm.uuid) }
            try require("power after destroy", try await site.power(), .off)
            try await site.source.start(uuid: site.vm.uuid, paused: false)
            try await site.kill()
            try require("power after a crash", try await site.power(), .crashed)
            try await site.source.start(uuid: site.vm.uuid, paused: false)
            try require("power after the next start", try await site.power(), .running)
        },
        DriverContract("links go down and up, of the running VM and for its next start") { site in
            func links() async throws -> [Bool] {
                try await site.source.domain(uuid: site.vm.uuid)?.nics.map(\.linkIsUp) ?? []
            }
            try require("the VM has a NIC", try await links().isEmpty, false)
            for up in [false, false, true, true] {
                try await site.source.setLinks(uuid: site.vm.uuid, up: up)
                try require("links", try await links().allSatisfy { $0 == up }, true)
                let stored = try DomainDefinition(xml: await site.source.inactiveXML(uuid: site.vm.uuid))
                try require("stored links", stored.nics.allSatisfy { $0.linkIsUp == up }, true)
            }
        },
        DriverContract("a running VM that is undefined runs on, and is forgotten when it ends") { site in
            let xml = try await site.source.inactiveXML(uuid: site.vm.uuid)
            for _ in 1...2 { try await site.source.undefine(uuid: site.vm.uuid) }
            try require("power", try await site.power(), .running)
            try await site.source.destroy(uuid: site.vm.uuid)
            try require("the VM", try await site.source.domain(uuid: site.vm.uuid), nil)
            try await site.source.define(xml: xml)
        },
    ]
}
