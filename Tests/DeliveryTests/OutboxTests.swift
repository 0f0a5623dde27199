// The outbox: what is in it goes out once, whatever dies, waits or says no; and nothing of a finished message stays that says where it went.
import City
import Foundation
import Postgres
import Primitives
import Register
import Testing
import Web

@testable import Delivery

@Suite("The outbox")
struct OutboxTests {
    @Test("The server's role writes no message, and one whose transaction fails is never sent")
    func writing() async throws {
        let post = try await Post()
        await #expect(throws: DatabaseError.self) { try await post.put(on: post.city.app) }
        struct Stop: Error {}
        await #expect(throws: Stop.self) {
            try await post.city.owner.transaction { transaction in
                try await post.put(on: transaction)
                throw Stop()
            }
        }
        #expect(try await post.node().deliverOnce() == 0)
        #expect(await post.adapter.emails.isEmpty)
    }

    @Test("A message goes out once in the words of its language, and nothing sealed is left of it")
    func sent() async throws {
        let post = try await Post()
        let (email, sms) = (try await post.put(), try await post.put(.sms, to: "+254712345678"))
        #expect(try await post.node().deliverOnce() == 2)
        #expect(try await post.node().deliverOnce() == 0)
        let message = try #require(await post.adapter.emails.first)
        #expect(message.to.text == "ada@example.org" && message.id == email)
        #expect(message.text.contains("https://stoa.example") && message.subject == "Marisport: there is news for you")
        #expect(await post.adapter.shortMessages.map(\.to) == ["+254712345678"])
        #expect(await post.adapter.shortMessages.map(\.text) == ["Marisport: there is news for you at https://stoa.example"])
        for id in [email, sms] { #expect(try await post.state(of: id) == "sent: status 250, erased") }
    }

    @Test("Several nodes that look at the same moment send each message once")
    func manyNodes() async throws {
        let post = try await Post()
        for number in 0..<40 { try await post.put(to: "ada\(number)@example.org") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                let node = try post.node()
                group.addTask { while try await node.deliverOnce() > 0 {} }
            }
            try await group.waitForAll()
        }
        let receivers = await post.adapter.emails.map(\.to.text)
        #expect(receivers.count == 40 && Set(receivers).count == 40)
    }

    @Test("What does not go out is tried after 1, 2, 8, 32 and 128 minutes and then every six hours, ten times in all, and then erased with the reason")
    func retries() async throws {
        let post = try await Post()
        try await post.at(minutes: 0)
        let id = try await post.put()
        await post.adapter.answer(.later("status 451"))
        var minutes = 0.0
        for delay in [1.0, 2, 8, 32, 128, 360, 360, 360, 360] {
            #expect(try await post.node().deliverOnce() == 1)
            #expect(try await post.state(of: id) == "waiting: status 451")
            try await post.at(minutes: minutes + delay - 0.001)
            #expect(try await post.node().deliverOnce() == 0)
            minutes += delay
            try await post.at(minutes: minutes)
        }
        #expect(try await post.node().deliverOnce() == 1)
        #expect(try await post.state(of: id) == "failed: status 451, erased")
        try await post.at(minutes: minutes + 100_000)
        #expect(try await post.node().deliverOnce() == 0)
        #expect(await post.adapter.emails.count == 10)
    }

    @Test("A no is final: it is not tried again, and the reason stays")
    func refused() async throws {
        let post = try await Post()
        try await post.at(minutes: 0)
        let id = try await post.put()
        await post.adapter.answer(.refused("status 550"))
        #expect(try await post.node().deliverOnce() == 1)
        #expect(try await post.state(of: id) == "failed: status 550, erased")
        try await post.at(minutes: 10_000)
        #expect(try await post.node().deliverOnce() == 0)
    }

    @Test("A node that dies with a message leaves it to another, a minute later; what the dead one says afterwards about its attempt counts no more")
    func deadNode() async throws {
        let post = try await Post()
        try await post.at(minutes: 0)
        let id = try await post.put()
        let taken = try await post.city.app.exclusive { try await $0.query(TakeMessages(countMax: 10)) }
        #expect(taken.map(\.id) == [id])
        #expect(try await post.node().deliverOnce() == 0)
        try await post.at(minutes: 1)
        await post.adapter.answer(.later("status 421"))
        #expect(try await post.node().deliverOnce() == 1)
        try await post.city.app.execute(noteMessage(taken[0], .refused("status 550")))
        #expect(try await post.state(of: id) == "waiting: status 421")
        try await post.city.app.execute(noteMessage(taken[0], .sent("status 250")))
        #expect(try await post.state(of: id) == "sent: status 250, erased", "taken is taken, whoever says it")
    }

    @Test("What ran out is not sent, nor what was for somebody whose record was erased")
    func pointless() async throws {
        let post = try await Post()
        try await post.at(minutes: 0)
        let late = try await post.put(expiresAt: Post.start + 600)
        let bob = try await post.city.resident()
        let forBob = try await post.put(to: "bob@example.org", for: bob)
        try await post.city.owner.execute("DELETE FROM register.data_key WHERE resident_id = \(bob.id)")
        try await post.at(minutes: 10)
        #expect(try await post.node().deliverOnce() == 0)
        #expect(try await post.state(of: late) == "failed: ran out, erased")
        #expect(try await post.state(of: forBob) == "failed: erased, erased")
        #expect(await post.adapter.emails.isEmpty)
    }

    @Test("A receiver that never answers holds up nobody who comes later")
    func slowReceiver() async throws {
        let post = try await Post()
        await post.adapter.hold("slow@example.org")
        for _ in 0..<3 { try await post.put(to: "slow@example.org") }
        let node = try post.node()
        let loop = Task { await node.run() }
        for number in 0..<20 { try await post.put(to: "ada\(number)@example.org") }
        await post.adapter.sent(20)
        #expect(await !post.adapter.emails.map(\.to.text).contains("slow@example.org"))
        await post.adapter.letGo("slow@example.org")
        await post.adapter.sent(23)
        loop.cancel()
        await loop.value
    }

    @Test("A template or an address that nobody knows is refused, and never reaches an adapter", arguments: ["unknown_words", "news"])
    func nonsense(template: String) async throws {
        let post = try await Post()
        let id = try await post.put(to: "ada@example.org\r\nBCC: eve@example.org", template: template)
        #expect(try await post.node().deliverOnce() == 1)
        #expect(try await post.state(of: id) == (template == "news" ? "failed: no e-mail address, erased" : "failed: no words for it, erased"))
        #expect(await post.adapter.emails.isEmpty)
    }

    @Test("A month after it was done a message is gone; one that waits stays")
    func removal() async throws {
        let post = try await Post()
        try await post.at(minutes: 0)
        let (done, waiting) = (try await post.put(), try await post.put(.letter, to: nil))
        #expect(try await post.node().deliverOnce() == 1)
        try await post.at(minutes: 31 * 24 * 60)
        #expect(try await post.city.app.one(OneValue("SELECT delivery.remove_done()", of: Int32.self)) == 1)
        #expect(try await post.city.owner.query(OneValue("SELECT id FROM delivery.outgoing", of: UUID.self)) == [waiting.uuid])
        #expect(done != waiting)
    }

    @Test("What is done keeps nothing sealed, whatever function forgets it")
    func constraint() async throws {
        let post = try await Post()
        let id = try await post.put()
        let error = await #expect(throws: DatabaseError.self) {
            try await post.city.owner.execute("UPDATE delivery.outgoing SET sent_at = public.stoa_now() WHERE id = \(id.uuid)")
        }
        #expect(error?.constraint == "outgoing_erased_when_done" || error?.constraint == "outgoing_has_recipient")
    }
}
