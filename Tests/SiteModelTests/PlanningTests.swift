import SiteModel
import Testing

@Suite("Policy limits")
struct PolicyTests {
    @Test(
        "Each field keeps to the limits of the reference",
        arguments: [
            (30, 0, nil, []), (300, 0, nil, []), (900, 24, nil, []), (300, 13, 12, []), (300, 2, 1, []),
            (31, 0, nil, ["copy_frequency"]), (0, 0, nil, ["copy_frequency"]), (-30, 0, nil, ["copy_frequency"]),
            (300, 25, nil, ["recovery_points"]), (300, -1, nil, ["recovery_points"]),
            (300, 24, 13, ["app_consistent"]), (300, 24, 0, ["app_consistent"]),
            (300, 0, 1, ["app_consistent"]), (300, 4, 4, ["app_consistent"]),
            (300, 4, 5, ["app_consistent"]),
            (60, 99, 99, ["copy_frequency", "recovery_points", "app_consistent"]),
        ] as [(Int, Int, Int?, [String])])
    func limits(frequency: Int, points: Int, hours: Int?, fields: [String]) {
        let policy = Policy(
            id: "p", name: "fast", copyFrequencySeconds: frequency, recoveryPoints: points,
            applicationConsistentHours: hours)
        #expect(policy.violations.map(\.field) == fields)
    }

    @Test("A violation is a sentence that says which values are allowed")
    func sentences() {
        let policy = Policy(
            id: "p", name: "", copyFrequencySeconds: 31, recoveryPoints: 4, applicationConsistentHours: 4)
        let sentences = policy.violations.map(\.sentence)
        #expect(sentences.count == 3)
        #expect(sentences[0].contains("1 to 128"))
        #expect(sentences[1] == "The copy frequency is 31 s; allowed are 30 s, 300 s (5min) and 900 s (15min).")
        #expect(sentences[2].contains("must be less than the number of recovery points, which is 4"))
    }

    @Test("A name has no control characters and an end", arguments: ["a\nb", "", String(repeating: "x", count: 129)])
    func names(name: String) {
        #expect(Policy(id: "p", name: name).violations.map(\.field) == ["name"])
    }
}

@Suite("Network plan")
struct NetworkPlanTests {
    static func mapping(_ source: String, _ target: String, back: Bool = false) -> NetworkMapping {
        NetworkMapping(
            id: "\(source)-\(target)", sourceNetwork: source, sourceCloud: back ? "silver" : "gold",
            targetCloud: back ? "gold" : "silver", targetNetwork: target)
    }

    @Test("On the way out a network goes where it is mapped, or nowhere")
    func out() {
        let plan = NetworkPlan(
            from: "gold", to: "silver", mappings: [Self.mapping("prod", "dr"), Self.mapping("backup", "dr-backup")])
        #expect(plan.target(of: "prod") == "dr")
        #expect(plan.target(of: "backup") == "dr-backup")
        #expect(plan.target(of: "lab") == nil)
        #expect(plan.target(of: nil) == nil)
    }

    @Test("Mappings of other clouds do not count")
    func otherClouds() {
        let foreign = NetworkMapping(
            id: "m", sourceNetwork: "prod", sourceCloud: "gold", targetCloud: "bronze", targetNetwork: "x")
        #expect(NetworkPlan(from: "gold", to: "silver", mappings: [foreign]).target(of: "prod") == nil)
    }

    @Test(
        "On the way back the four rows of the failback table hold",
        arguments: [
            // The NIC's present network, its original one, the mappings now, the network at home.
            ("dr", "prod", [mapping("prod", "dr")], "prod"),
            (nil, "prod", [mapping("prod", "dr")], nil),
            ("other", "prod", [mapping("prod", "dr")], nil),
            ("dr", "prod", [mapping("prod", "dr2"), mapping("office", "dr")], "office"),
            ("dr", "prod", [mapping("prod", "dr"), mapping("dr", "office", back: true)], "office"),
            // Several networks map to the present one: only the original decides.
            ("dr", "prod", [mapping("prod", "dr"), mapping("office", "dr")], "prod"),
            ("dr", nil, [mapping("prod", "dr"), mapping("office", "dr")], nil),
            ("dr", "gone", [mapping("prod", "dr"), mapping("office", "dr")], nil),
        ] as [(String?, String?, [NetworkMapping], String?)])
    func back(now: String?, original: String?, mappings: [NetworkMapping], home: String?) {
        let plan = NetworkPlan(from: "silver", to: "gold", mappings: mappings)
        #expect(plan.target(of: now, original: original) == home)
    }

    @Test("A VM outside the clouds follows its own table, both ways")
    func ownTable() {
        let networks = ["mgmt": "mgmt-b", "prod": "prod-b"]
        #expect(NetworkPlan(networks: networks, returning: false).target(of: "mgmt") == "mgmt-b")
        #expect(NetworkPlan(networks: networks, returning: true).target(of: "prod-b") == "prod")
        #expect(NetworkPlan(networks: networks, returning: true).target(of: "mgmt") == nil)
    }
}

@Suite("Nearest name")
struct NearestTests {
    @Test(
        "A slip of the finger is recognized, another word is not",
        arguments: [
            ("ordres", "orders"), ("order", "orders"), ("Orders", "orders"), ("bilings", "billing"),
            ("glod", "gold"), ("copy_freqency", "copy_frequency"), ("xyz", nil), ("", nil), ("o", nil),
        ] as [(String, String?)])
    func suggestion(word: String, nearest: String?) {
        let names = ["orders", "billing", "gold", "copy_frequency"]
        #expect(Nearest.suggestion(for: word, among: names) == nearest)
    }

    @Test("Of two names equally near the first by alphabet is taken, whatever their order")
    func ties() {
        #expect(Nearest.suggestion(for: "web", among: ["web2", "web1"]) == "web1")
        #expect(Nearest.suggestion(for: "web", among: ["web1", "web2"]) == "web1")
    }

    @Test("A name of any length is answered at once")
    func bounded() {
        let long = String(repeating: "a", count: 100_000)
        #expect(Nearest.suggestion(for: long, among: [long + "b"]) == nil)
        #expect(Nearest.suggestion(for: "orders", among: [long, "orders"]) == "orders")
    }
}
