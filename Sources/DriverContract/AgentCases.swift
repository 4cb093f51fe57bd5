import BlockReplication
import struct Foundation.Data
import Hypervisors
import SiteModel

/// One relationship's calls, for short.
struct PointMaker {
    let site: any ContractSite
    let relationship: String
    let disks: [(target: String, size: UInt64, path: String)]
    var epoch = 1
    var owner = "first"

    init(_ site: any ContractSite) async throws {
        self.site = site
        relationship = "contract-" + site.identifier().prefix(8)
        disks = try await site.disks()
        for agent in [site.sender, site.receiver] {
            try await agent.recordOwnership(record(epoch: 1, owner: "first"))
        }
    }

    func record(epoch: Int, owner: String) -> OwnershipRecord {
        OwnershipRecord(relationship: relationship, vmUUID: site.vm.uuid, owner: owner, epoch: epoch)
    }

    func open(_ generation: String, after previous: String?) async throws -> PointTicket {
        try await site.receiver.openPoint(
            OpenPoint(
                relationship: relationship, vm: site.vm, generation: generation, previous: previous,
                disks: disks.map { DiskGeometry(target: $0.target, size: $0.size) }))
    }

    /// Sends an instant of the running VM, with what changed since a generation's checkpoint, or all.
    func send(_ ticket: PointTicket, since: String?) async throws -> TransferSummary {
        let socket = "\(site.sourceStore)/sockets/contract.sock"
        try await site.backup(since: since, checkpoint: ticket.generation)
        do {
            let summary = try await site.sender.sendPoint(
                SendPoint(
                    ticket: ticket,
                    disks: disks.map { disk in
                        SourceDisk(
                            target: disk.target, size: disk.size, from: .export(socket: socket, name: disk.target),
                            extents: since == nil ? .everything : .changed(bitmap: nil, also: []))
                    })
            ) { _ in }
            try await site.source.endBackup(uuid: site.vm.uuid)
            return summary
        } catch {
            try await site.source.endBackup(uuid: site.vm.uuid)
            throw error
        }
    }

    func seal(
        _ generation: String, _ checksums: [String: String], number: Int = 1, epoch: Int? = nil, owner: String? = nil
    ) async throws -> PointSummary {
        try await site.receiver.sealPoint(
            SealPoint(
                relationship: relationship, generation: generation, number: number, cause: .crashConsistent,
                at: Timestamp(milliseconds: 1_700_000_000_000), epoch: epoch ?? self.epoch, owner: owner ?? self.owner,
                domainXML: await site.source.inactiveXML(uuid: site.vm.uuid), checksums: checksums))
    }

    /// Opens a leg of a first copy; its generation is also its checkpoint's name.
    func openLeg(_ generation: String) async throws -> (ticket: PointTicket, base: GrowingBase) {
        let ticket = try await site.receiver.openPoint(
            OpenPoint(
                relationship: relationship, vm: site.vm, generation: generation, previous: nil,
                disks: disks.map { DiskGeometry(target: $0.target, size: $0.size) }, inLegs: true))
        guard let base = ticket.base else { throw ContractBroken(what: "a leg was opened, and has no base") }
        return (ticket, base)
    }

    /// Sends an instant of the running VM as a leg; one with no time moves each frontier a little.
    func sendLeg(_ ticket: PointTicket, _ base: GrowingBase, seconds: Double) async throws -> TransferSummary {
        let socket = "\(site.sourceStore)/sockets/contract.sock"
        try await site.backup(since: base.checkpoint, checkpoint: ticket.generation)
        let result: Result<TransferSummary, any Error>
        do {
            result = .success(
                try await site.sender.sendPoint(
                    SendPoint(
                        ticket: ticket,
                        disks: base.disks.map { disk in
                            SourceDisk(
                                target: disk.target, size: disk.size,
                                from: .export(socket: socket, name: disk.target), extents: .everything,
                                leg: LegStart(frontier: disk.frontier, isTracked: base.checkpoint != nil))
                        }, limits: LegLimits(seconds: seconds))
                ) { _ in })
        } catch { result = .failure(error) }
        try await site.source.endBackup(uuid: site.vm.uuid)
        return try result.get()
    }

    func endLeg(_ generation: String, _ summary: TransferSummary, checksums: [String: String]? = nil) async throws {
        try await site.receiver.endLeg(
            EndLeg(
                relationship: relationship, generation: generation, checksums: checksums ?? summary.checksums,
                frontiers: summary.leg?.frontiers ?? [:], marks: summary.leg?.marks ?? [:], bytes: summary.bytes,
                checkpoint: generation))
    }

    /// One whole point; its generation is also its checkpoint's name.
    @discardableResult
    func point(after previous: String?) async throws -> String {
        let generation = site.identifier()
        let ticket = try await open(generation, after: previous)
        let summary = try await send(ticket, since: previous)
        _ = try await seal(generation, summary.checksums)
        return generation
    }

    func generations() async throws -> [String] {
        try await site.receiver.points(relationship: relationship).map(\.generation)
    }

    func forget() async throws {
        for agent in [site.sender, site.receiver] { try await agent.forget(relationship: relationship) }
    }
}

extension DriverContract {
    static let agentCases: [DriverContract] = [
        DriverContract("the agent's record of ownership only goes forward") { site in
            let maker = try await PointMaker(site)
            let agent = site.receiver
            func owner() async throws -> OwnershipRecord? {
                try await agent.ownership(relationship: maker.relationship)
            }
            try require("the record", try await owner(), maker.record(epoch: 1, owner: "first"))
            try await agent.recordOwnership(maker.record(epoch: 1, owner: "first"))
            try await agent.recordOwnership(maker.record(epoch: 3, owner: "second"))
            try await declined(.staleEpoch, "an older epoch") {
                try await agent.recordOwnership(maker.record(epoch: 2, owner: "first"))
            }
            try await declined(.staleEpoch, "another owner at the same epoch") {
                try await agent.recordOwnership(maker.record(epoch: 3, owner: "first"))
            }
            try await declined(.invalidArgument, "another VM") {
                try await agent.recordOwnership(
                    OwnershipRecord(
                        relationship: maker.relationship, vmUUID: site.identifier(), owner: "second", epoch: 4))
            }
            try require("the record", try await owner(), maker.record(epoch: 3, owner: "second"))
            for _ in 1...2 { try await maker.forget() }
            try require("the record after it was forgotten", try await owner(), nil)
        },
        DriverContract("a record that was written is confirmed; one that is forgotten is gone") { site in
            let maker = try await PointMaker(site)
            func standing() async throws -> OwnershipStanding? {
                try await site.receiver.standings().first { $0.relationship == maker.relationship }
            }
            try require(
                "the standing", try await standing(),
                OwnershipStanding(record: maker.record(epoch: 1, owner: "first"), isConfirmed: true))
            for _ in 1...2 { try await site.receiver.forgetOwnership(relationship: maker.relationship) }
            try require("the standing after it was forgotten", try await standing(), nil)
            try require(
                "the record after it was forgotten",
                try await site.receiver.ownership(relationship: maker.relationship), nil)
            try await maker.forget()
        },
        DriverContract("what is forgotten is gone whole, and nothing else is") { site in
            let (maker, other) = (try await PointMaker(site), try await PointMaker(site))
            let receiver = site.receiver
            let kept = try await other.point(after: nil)
            try await maker.forget()
            try require("points of one that had none", try await maker.generations(), [])
            try await receiver.recordOwnership(maker.record(epoch: 1, owner: "first"))
            let generation = try await maker.point(after: nil)
            let images = try await receiver.createBootImages(
                relationship: maker.relationship, generation: generation, epoch: 2)
            let open = site.identifier()
            let ticket = try await maker.open(open, after: generation)
            for _ in 1...2 { try await receiver.forget(relationship: maker.relationship) }
            try require("points", try await maker.generations(), [])
            try require("the record", try await receiver.ownership(relationship: maker.relationship), nil)
            let standings = try await receiver.standings().compactMap(\.relationship)
            try require(!standings.contains(maker.relationship), "a standing is left: \(standings)")
            let files = try await receiver.check(AgentCheck(images: images.compactMap(\.chain.first?.path)))
            try require(files.images.allSatisfy { $0.failure != nil }, "images are left: \(files.images)")
            try await declined(.notFound, "its definition") {
                _ = try await receiver.domainXML(relationship: maker.relationship, generation: generation)
            }
            try await declined(.notFound, "its maps") {
                _ = try await receiver.extentsNewer(relationship: maker.relationship, than: generation)
            }
            try await declined(.notAuthorized, "a point that was being received") {
                _ = try await maker.send(ticket, since: generation)
            }
            try require("points of another", try await other.generations(), [kept])
            try require(
                "the record of another", try await receiver.ownership(relationship: other.relationship),
                other.record(epoch: 1, owner: "first"))
            try await other.forget()
        },
        DriverContract("ending protection takes the record and leaves the points") { site in
            let maker = try await PointMaker(site)
            let generation = try await maker.point(after: nil)
            for _ in 1...2 { try await site.receiver.forgetOwnership(relationship: maker.relationship) }
            try require("the record", try await site.receiver.ownership(relationship: maker.relationship), nil)
            try require("points", try await maker.generations(), [generation])
            try await maker.forget()
        },
        DriverContract("of the copies of a vault, the one that was promoted last is obeyed") { site in
            let agent = site.receiver
            let id = site.identifier()
            for epoch in [1, 1, 3] { try await agent.attend(VaultStanding(id: id, epoch: epoch)) }
            let part = VaultPart(
                vault: VaultStanding(id: id, epoch: 2), offset: 0, data: Data([1]), isLast: true)
            try await declined(.staleEpoch, "a copy that was not promoted") { try await agent.attend(part.vault) }
            try await declined(.staleEpoch, "a copy of it to keep") { try await agent.keepVault(part) }
            // Another vault is another matter.
            try await agent.attend(VaultStanding(id: site.identifier(), epoch: 1))
        },
        DriverContract(
            "of two copies of a vault that were promoted apart, the one that is known is obeyed, and its heirs"
        ) {
            site in
            let (agent, id) = (site.receiver, site.identifier())
            func standing(_ epoch: Int, _ promotion: String, heirTo: [String]? = nil) -> VaultStanding {
                let mark = PromotionMark(id: promotion, place: "m:/\(promotion)", at: Timestamp(milliseconds: 7))
                return VaultStanding(id: id, epoch: epoch, promotion: mark, heirTo: heirTo)
            }
            try await agent.attend(standing(2, "one"))
            for other in [standing(2, "two"), standing(5, "five", heirTo: ["two"])] {
                try await declined(.staleEpoch, "a copy promoted apart") { try await agent.attend(other) }
                let maker = try await PointMaker(site)
                var order = maker.record(epoch: 2, owner: "second")
                order.vault = other
                let refused = order
                try await declined(.staleEpoch, "its order") { try await agent.recordOwnership(refused) }
                try require(
                    "the record", try await agent.ownership(relationship: maker.relationship)?.epoch, 1)
                try await maker.forget()
            }
            try await agent.attend(standing(6, "six", heirTo: ["five", "one"]))
        },
        DriverContract("a copy of a vault is kept part after part") { site in
            func part(_ offset: UInt64, _ id: String, isLast: Bool = false) -> VaultPart {
                VaultPart(
                    vault: VaultStanding(id: id, epoch: 1), offset: offset, data: Data(repeating: 7, count: 100),
                    isLast: isLast)
            }
            let id = site.identifier()
            for attempt in [[0], [0, 100]] as [[UInt64]] {
                for offset in attempt { try await site.receiver.keepVault(part(offset, id)) }
            }
            try await declined(.protocolViolation, "a part that leaves a gap") {
                try await site.receiver.keepVault(part(300, id))
            }
            try await site.receiver.keepVault(part(200, id, isLast: true))
        },
        DriverContract("what a guest is told lies in one CD image an epoch, and odd names are refused") { site in
            let maker = try await PointMaker(site)
            func seed(epoch: Int, _ files: [String: String]) -> GuestSeed {
                GuestSeed(relationship: maker.relationship, epoch: epoch, files: files)
            }
            let path = try await site.receiver.writeSeed(seed(epoch: 0, ["meta-data": "instance-id: one\n"]))
            try require(path.hasPrefix(site.targetStore + "/"), "the image lies in the store: \(path)")
            let again = try await site.receiver.writeSeed(seed(epoch: 0, ["meta-data": "instance-id: two\n"]))
            try require("the image written again", again, path)
            let other = try await site.receiver.writeSeed(seed(epoch: 2, ["meta-data": "instance-id: one\n"]))
            try require(other != path, "each epoch has its own image: \(path)")
            try await declined(.invalidArgument, "a name that leads elsewhere") {
                _ = try await site.receiver.writeSeed(seed(epoch: 0, ["../meta-data": ""]))
            }
            try await declined(.invalidArgument, "an epoch below 0") {
                _ = try await site.receiver.writeSeed(seed(epoch: -1, ["meta-data": ""]))
            }
            try await maker.forget()
        },
        DriverContract("an agent answers what only a program at the host can tell, in the order of the questions") {
            site in
            let disk = try await site.disks()[0]
            let receiver = try await site.receiver.check(AgentCheck())
            try require("the store", receiver.store.path, site.targetStore)
            try require("why the store cannot be written", receiver.store.writeFailure, nil)
            try require(receiver.store.totalBytes >= receiver.store.freeBytes, "\(receiver.store)")
            let parts = receiver.dataAddress.split(separator: ":")
            guard let host = parts.first.map(String.init), let port = parts.last.flatMap({ UInt16($0) }) else {
                throw ContractBroken(what: "\(receiver.dataAddress) is no address")
            }
            let answer = try await site.sender.check(
                AgentCheck(
                    images: [disk.path, "/nowhere/at-all.qcow2"], programs: ["qemu-img", "a/path"],
                    endpoints: [
                        EndpointProbe(host: host, port: port, service: .tcp),
                        EndpointProbe(host: host, port: 1, service: .tcp, timeoutSeconds: 2),
                    ]))
            try require("images", answer.images.map(\.path), [disk.path, "/nowhere/at-all.qcow2"])
            try require(answer.images[0].version.map { $0 >= 3 } ?? false, "a qcow2 file says so: \(answer.images)")
            try require(answer.images[1].failure != nil, "a file that is not there: \(answer.images)")
            try require(answer.programs[0].path != nil && answer.programs[1].path == nil, "\(answer.programs)")
            try require("what keeps the receiver from being reached", answer.endpoints[0].failure, nil)
            try require(answer.endpoints[1].failure != nil, "nobody listens at port 1: \(answer.endpoints)")
            try require(answer.storeID != receiver.storeID, "two stores: \(answer.storeID)")
            try await declined(.invalidArgument, "more questions than one call takes") {
                let name = Array(repeating: "qemu-img", count: AgentCheck.programLimit + 1)
                _ = try await site.sender.check(AgentCheck(programs: name))
            }
        },
        DriverContract("an agent says where it is and how much space it has") { site in
            let status = try await site.receiver.status()
            try require("the store", status.store, site.targetStore)
            try require(status.freeBytes > 0 && !status.version.isEmpty && !status.site.isEmpty, "\(status)")
        },
        DriverContract("files of a running VM are not read; those of a stopped one are, with their bitmaps") { site in
            let maker = try await PointMaker(site)
            let image = DiskImage(path: maker.disks[0].path, format: "qcow2")
            try await site.checkpoint("mark")
            try await declined(.busy, "the map of a disk in use") {
                _ = try await site.sender.changedExtents(image: image, bitmap: "mark")
            }
            let ticket = try await maker.open(site.identifier(), after: nil)
            try await declined(.busy, "a disk in use") {
                _ = try await site.sender.sendPoint(
                    SendPoint(
                        ticket: ticket,
                        disks: maker.disks.map { disk in
                            SourceDisk(
                                target: disk.target, size: disk.size,
                                from: .image(DiskImage(path: disk.path, format: "qcow2")), extents: .everything)
                        })
                ) { _ in }
            }
            try await site.letItWrite()
            try await site.powerOff()
            let changed = try await site.sender.changedExtents(image: image, bitmap: "mark")
            try require(changed?.isEmpty == false, "a guest that wrote has changed its disk: \(changed as Any)")
            try require(
                "a bitmap that is not there", try await site.sender.changedExtents(image: image, bitmap: "none"), nil)
            try await maker.forget()
        },
    ]
}
