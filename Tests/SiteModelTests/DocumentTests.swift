import Foundation
import SiteModel
import Testing

@Suite("Documents of an older version")
struct DocumentTests {
    private func decode<Object: SiteObject>(_ type: Object.Type, _ text: String) throws -> Object {
        let object = try JSONDecoder().decode(type, from: Data(text.utf8))
        // What was read can be written and read again.
        #expect(try JSONDecoder().decode(type, from: JSONEncoder().encode(object)) == object)
        return object
    }

    @Test("A policy reads with the defaults of what it did not have")
    func policy() throws {
        let policy = try decode(
            Policy.self,
            """
            {"compression":false,"copyFrequencySeconds":30,"firstCopy":"now","id":"p1","name":"fast","recoveryPoints":4}
            """)
        #expect(
            policy == Policy(id: "p1", name: "fast", copyFrequencySeconds: 30, recoveryPoints: 4, compression: false))
    }

    @Test("Servers, clouds and pairs read")
    func fabric() throws {
        let server = try decode(Server.self, #"{"id":"s1","managementVM":"vmm01","name":"vmm01"}"#)
        #expect(server == Server(id: "s1", name: "vmm01", managementVM: "vmm01"))
        let cloud = try decode(Cloud.self, #"{"hosts":["h1"],"id":"c1","name":"gold","server":"s1"}"#)
        #expect(cloud.allHosts(in: []) == ["h1"])
        let pair = try decode(
            CloudPair.self,
            #"{"id":"x1","name":"gold -> silver","policy":"p1","primary":"c1","recovery":"c2"}"#)
        #expect(pair.state == nil && pair.joins("c2"))
    }

    @Test("A relationship in the middle of a failover reads")
    func relationship() throws {
        let relationship = try decode(
            Relationship.self,
            """
            {"activeJob":"j1","checkpoint":"perilune-g1","disks":[{"images":{"h1":{"format":"qcow2","path":"/d/a.qcow2"}},
            "original":{"format":"qcow2","path":"/d/a.qcow2"},"size":1048576,"target":"vda"}],"epoch":2,
            "failover":{"at":1700000000000,"generation":"g1","planned":false,"sourceVerdict":"proven"},"home":"h1","id":"r1",
            "item":"i1","lastPointNumber":3,"name":"orders","networks":{},"newestGeneration":"g1","owner":"h2","policy":"p1",
            "source":"h1","state":"failing-over","target":"h2","vmUUID":"u1"}
            """)
        #expect(relationship.state == .failingOver && relationship.epoch == 2)
        #expect(relationship.excludedDisks == nil && relationship.firstCopy == nil && relationship.nics == nil)
    }

    @Test("A job that failed, and an event, read")
    func job() throws {
        let job = try decode(
            Job.self,
            """
            {"arguments":{},"facts":{"bytes":"4096"},"failure":{"kind":"unreachable","message":"no answer"},"id":"j1",
            "operation":"sync","origin":"protected","relationship":"r1","stages":[{"name":"copy","state":"begun"}],
            "startedAt":1700000000000,"state":"failed"}
            """)
        #expect(job.failure == JobFailure(kind: "unreachable", message: "no answer", hint: nil))
        #expect(job.outcome == .failed && job.allowedActions == [.restart])
        let event = try JSONDecoder().decode(
            Event.self, from: Data(#"{"at":1,"severity":"info","text":"point 1 is whole"}"#.utf8))
        #expect(event.code == nil && event.text == "point 1 is whole")
    }

    @Test("What a job says of itself follows from its record")
    func outcomes() {
        var job = Job(
            id: "j", operation: .protect, relationship: "r", arguments: [:], origin: .unprotected, stages: [],
            startedAt: Timestamp(milliseconds: 0), run: nil)
        #expect(job.outcome == .running && job.allowedActions == [.cancel])
        job.operation = .unplannedFailover
        #expect(job.allowedActions == [], "a failover is never cancelled")
        job.failure = JobFailure(kind: "unreachable", message: "no answer", hint: nil)
        #expect(job.outcome == .waiting && job.allowedActions == [.resume])
        job.state = .succeeded
        #expect(job.outcome == .completed && job.allowedActions == [])
        job.facts["warning"] = "it powered itself off"
        #expect(job.outcome == .completedWithInformation)
    }

    @Test("Causes are found by either spelling of a fault's kind")
    func causes() {
        #expect(!ErrorCauses.of("unreachable").isEmpty)
        #expect(ErrorCauses.of("timedOut") == ErrorCauses.of("timed-out"))
        #expect(ErrorCauses.of("no-such-kind").isEmpty)
    }
}
