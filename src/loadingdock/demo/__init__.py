"""A throwaway service, and what an operator and the clients of its APIs do with it, shown step by step."""
