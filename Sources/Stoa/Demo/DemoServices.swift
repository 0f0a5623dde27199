// The services of the demo city's organisations at which residents sign in, with keys in files as their other clients have.
import Foundation
import OpenID
import Postgres
import Web

/// A service as demo.json tells it.
struct DemoService: Sendable {
    let clientID: String
    let organisation: String
    let name: LocalisedText
    /// On any port: a service that is tried out runs on one's own machine.
    let redirectAddress: String
    let scope: [String]
    let purpose: String?
    var privateKeyPath = ""

    static let all = [
        DemoService(
            clientID: "harbour-clinic-portal", organisation: "harbour-clinic",
            name: LocalisedText([.english: "Appointments", .french: "Rendez-vous", .arabic: "المواعيد"]), redirectAddress: "http://127.0.0.1/signed-in",
            scope: ["openid", "profile"], purpose: "treatment"),
        DemoService(
            clientID: "city-library-account", organisation: "city-library",
            name: LocalisedText([.english: "Reading lists", .french: "Listes de lecture", .arabic: "قوائم القراءة"]),
            redirectAddress: "http://127.0.0.1/signed-in", scope: ["openid"], purpose: nil),
    ]

    var json: JSONValue {
        [
            "client_id": .string(clientID), "organisation": .string(organisation), "redirect_uri": .string(redirectAddress),
            "scope": .string(scope.joined(separator: " ")), "private_key_jwk_path": .string(privateKeyPath),
        ]
    }
}

extension DemoLoader {
    func loadServices() async throws -> [DemoService] {
        var services: [DemoService] = []
        for var service in DemoService.all {
            service.privateKeyPath = try await clientKey(service.clientID) { keySet in
                try await ClientRegistration.register(
                    .init(
                        id: service.clientID, organisation: service.organisation, name: service.name, redirectAddresses: [service.redirectAddress],
                        keySet: keySet, scope: service.scope, purpose: service.purpose), with: owner)
            }
            services.append(service)
        }
        return services
    }
}
