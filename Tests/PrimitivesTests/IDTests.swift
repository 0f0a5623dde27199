// The form of ids on the wire and their order in time.
import Foundation
import Testing

@testable import Primitives

private enum Bill {}

@Suite("ID")
struct IDTests {
    @Test("has the version and variant of UUIDv7 and the milliseconds of its moment in front (RFC 9562 §5.7)")
    func layout() throws {
        // The RFC's own example: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F is 2022-02-22T19:22:22.000Z.
        let uuid = uuidV7(at: Date(timeIntervalSince1970: 1_645_557_742))
        let text = uuid.uuidString.lowercased()
        #expect(text.hasPrefix("017f22e2-79b0-7"))
        #expect("89ab".contains(text[text.index(text.startIndex, offsetBy: 19)]))
        #expect(uuidV7(at: Date(timeIntervalSince1970: -5)).uuidString.hasPrefix("00000000-0000-7000-"))
        #expect(uuidV7(at: .distantFuture).uuidString < uuidV7(at: Date(timeIntervalSince1970: 1e15)).uuidString)
    }

    @Test("rises within a millisecond and when the clock steps back")
    func monotonic() {
        let generator = MonotonicUUIDs()
        let moment = Date(timeIntervalSince1970: 1_700_000_000)
        var ids: [UUID] = []
        for _ in 0..<10_000 { ids.append(generator.next(at: moment)) }
        ids.append(generator.next(at: moment.addingTimeInterval(-3600)))
        #expect(zip(ids, ids.dropFirst()).allSatisfy { $0 < $1 })
        let fresh = (0..<1000).map { _ in ID<Bill>.new() }
        #expect(zip(fresh, fresh.dropFirst()).allSatisfy { $0 < $1 })
    }

    @Test("is never handed out twice to tasks that ask at once")
    func concurrentIDsDiffer() async {
        let all = await withTaskGroup(of: [ID<Bill>].self) { group in
            for _ in 0..<8 {
                group.addTask { (0..<2000).map { _ in ID<Bill>.new() } }
            }
            return await group.reduce(into: Set<ID<Bill>>()) { $0.formUnion($1) }
        }
        #expect(all.count == 16_000)
    }

    @Test("reads 36 characters in either case and writes lower case")
    func reading() throws {
        let id = try #require(ID<Bill>("017F22E2-79B0-7CC3-98C4-dc0c0c07398f"))
        #expect(id.description == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
        #expect(id.uuid == UUID(uuidString: "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"))
    }

    @Test(
        "refuses every other form",
        arguments: [
            "", "017f22e279b07cc398c4dc0c0c07398f", "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}", "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398ff", "017f22e2-79b0-7cc3-98c4-dc0c0c07398g", "017f22e2-79b0-7cc3-98c4 dc0c0c07398f",
            " 017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e27-9b0-7cc3-98c4-dc0c0c07398f", "0١7f22e2-79b0-7cc3-98c4-dc0c0c0739",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398\0",
        ])
    func refusing(text: String) {
        #expect(ID<Bill>(text) == nil)
    }

    @Test("travels through JSON as a string, and a bad one is an error")
    func coding() throws {
        let id = ID<Bill>.new()
        let data = try JSONEncoder().encode([id])
        #expect(String(decoding: data, as: UTF8.self) == "[\"\(id)\"]")
        #expect(try JSONDecoder().decode([ID<Bill>].self, from: data) == [id])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([ID<Bill>].self, from: Data("[\"nobody\"]".utf8)) }
    }
}
