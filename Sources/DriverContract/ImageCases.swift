import BlockReplication
import Hypervisors
import SiteModel

extension DriverContract {
    static let imageCases: [DriverContract] = [
        DriverContract("boot images: made once an epoch, on the point that was asked for, given up without harm") {
            site in
            let maker = try await PointMaker(site)
            let (receiver, relationship) = (site.receiver, maker.relationship)
            let first = try await maker.point(after: nil)
            let second = try await maker.point(after: first)
            try await declined(.notFound, "a point that is not there") {
                _ = try await receiver.createBootImages(
                    relationship: relationship, generation: site.identifier(), epoch: 1)
            }
            let images = try await receiver.createBootImages(relationship: relationship, generation: first, epoch: 1)
            try require("disks", images.map(\.target), maker.disks.map(\.target).sorted())
            try require(images.allSatisfy { $0.chain.count >= 2 && $0.chain[0].format == "qcow2" }, "\(images)")
            try require("lowest layer", Set(images.compactMap(\.chain.last?.format)), ["raw"])
            let again = try await receiver.createBootImages(relationship: relationship, generation: first, epoch: 1)
            try require("made again", again, images)
            try await declined(.busy, "another point at the same epoch") {
                _ = try await receiver.createBootImages(relationship: relationship, generation: second, epoch: 1)
            }
            try await receiver.recordOwnership(maker.record(epoch: 3, owner: "second"))
            try await declined(.staleEpoch, "an older epoch") {
                _ = try await receiver.createBootImages(relationship: relationship, generation: second, epoch: 2)
            }
            _ = try await receiver.createBootImages(relationship: relationship, generation: second, epoch: 0)
            for _ in 1...2 {
                for epoch in [0, 1] { try await receiver.discardBootImages(relationship: relationship, epoch: epoch) }
            }
            try require("points", try await maker.generations(), [first, second])
            try await maker.forget()
        },
        DriverContract("a VM runs from boot images; what it stands on is not forgotten under it; its chain folds") {
            site in
            let maker = try await PointMaker(site)
            let (receiver, target, relationship) = (site.receiver, site.target, maker.relationship)
            let first = try await maker.point(after: nil)
            try await site.letItWrite()
            let second = try await maker.point(after: first)
            let images = try await receiver.createBootImages(relationship: relationship, generation: second, epoch: 1)
            var definition = try DomainDefinition(
                xml: await receiver.domainXML(relationship: relationship, generation: second))
            let uuid = site.identifier()
            for image in images {
                try definition.setDisk(
                    image.target, chain: image.chain.map { DomainDefinition.Layer(path: $0.path, format: $0.format) })
            }
            try definition.becomeTest(name: site.vm.name + "-copy", uuid: uuid, network: site.targetNetwork)
            try await target.define(xml: definition.xml)
            try await target.start(uuid: uuid, paused: true)
            try await target.createCheckpoint(uuid: uuid, name: "boot", disks: images.map(\.target))
            try await target.resume(uuid: uuid)
            let domain = try await target.domain(uuid: uuid)
            try require("power of the copy", domain?.power, .running)
            // Live, libvirt names the bridge where the network is one.
            let named = try DomainDefinition(xml: await target.inactiveXML(uuid: uuid)).nics.map(\.network)
            try require("networks of the copy", Set(named), [site.targetNetwork])
            try require("sizes of its disks", domain?.disks.compactMap(\.size), maker.disks.map(\.size))
            try await declined(.busy, "forgetting what it stands on") {
                try await receiver.forget(relationship: relationship)
            }
            try require("points", try await maker.generations(), [first, second])
            let disk = images[0]
            let floor = disk.chain.last { $0.format == "qcow2" }?.path ?? ""
            for _ in 1...2 {
                try await target.commitChain(uuid: uuid, disk: disk.target, into: floor, limit: .seconds(60))
            }
            let folded = try DomainDefinition(xml: await target.inactiveXML(uuid: uuid))
            try require("its chain", folded.disks.first { $0.target == disk.target }?.path, floor)
            try require("its checkpoint", try await target.checkpoints(uuid: uuid), ["boot"])
            try await target.beginBackup(
                uuid: uuid,
                BackupRequest(
                    since: "boot", checkpoint: "next", socket: "\(site.targetStore)/sockets/contract.sock",
                    scratchFolder: "\(site.targetStore)/scratch", disks: [disk.target]))
            try await target.endBackup(uuid: uuid)
            try await refused(.invalidDefinition, "folding into what is no layer") {
                try await target.commitChain(uuid: uuid, disk: disk.target, into: "/nowhere", limit: .seconds(5))
            }
            try await target.destroy(uuid: uuid)
            try await target.undefine(uuid: uuid)
            try await receiver.discardBootImages(relationship: relationship, epoch: 1)
            try await maker.forget()
        },
        DriverContract("disks of its own become the base of points from the other side") { site in
            let maker = try await PointMaker(site)
            let (sender, relationship) = (site.sender, maker.relationship)
            let adopted = maker.disks.map {
                AdoptedDisk(target: $0.target, size: $0.size, image: DiskImage(path: $0.path, format: "qcow2"))
            }
            try await site.powerOff()
            for _ in 1...2 { try await sender.adoptDisks(relationship: relationship, vm: site.vm, disks: adopted) }
            try require("points", try await sender.points(relationship: relationship), [])
            // A disk that was resized at the peer since is adopted as large as it is.
            try await sender.adoptDisks(
                relationship: relationship, vm: site.vm,
                disks: adopted.map { AdoptedDisk(target: $0.target, size: $0.size * 2, image: $0.image) })
            try await declined(.notFound, "a disk that is not there") {
                try await sender.adoptDisks(
                    relationship: relationship, vm: site.vm,
                    disks: adopted.map {
                        AdoptedDisk(
                            target: $0.target, size: $0.size, image: DiskImage(path: "/nowhere.qcow2", format: "qcow2"))
                    })
            }
            try await maker.forget()
            try await site.source.start(uuid: site.vm.uuid, paused: false)
            try require("the VM after its disks were forgotten", try await site.power(), .running)
        },
    ]
}
